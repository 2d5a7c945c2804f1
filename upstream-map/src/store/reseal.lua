-- Replaces values sealed with the previous key, unless they have changed meanwhile.
-- KEYS: a hash. ARGV: for each field its name, old value and new value.
for at = 1, #ARGV, 3 do
  if redis.call('HGET', KEYS[1], ARGV[at]) == ARGV[at + 1] then
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 2])
  end
end
