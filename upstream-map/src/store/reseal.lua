-- Seals with the current key what is sealed with the one before it, unless somebody has changed it
-- in the meantime.
-- KEYS: a hash. ARGV: field, what it was, what it shall be; as often as there are fields.
for at = 1, #ARGV, 3 do
  if redis.call('HGET', KEYS[1], ARGV[at]) == ARGV[at + 1] then
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 2])
  end
end
