-- What edges agree on about a stream's splices; Entry::agree in ledger.rs is the same.
-- KEYS: the stream's. ARGV: rendition, generation, next, newest, change, the part's first number
-- or '', the part, ms to live, the change as the key before the last rotation seals it or ''.
local key, rendition = KEYS[1], ARGV[1]
local generation = ARGV[2]
local current = redis.call('HGET', key, 'generation') or '0'
if above(generation, current) and ARGV[5] ~= '' then
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, 5) == 'part/' then
      redis.call('HDEL', key, field)
    end
  end
  redis.call('HSET', key, 'generation', generation, 'change', ARGV[5])
  current = generation
end
local part = 'part/' .. rendition
local head = 'head/' .. rendition
local newest = 'newest/' .. rendition
if generation == current then
  local begun = redis.call('HEXISTS', key, part) == 1
  local known = redis.call('HGET', key, head) or '0'
  local change = redis.call('HGET', key, 'change')
  -- While keys are rotated, edges seal the same change with different ones.
  local same = change == ARGV[5] or (ARGV[9] ~= '' and change == ARGV[9])
  if ARGV[6] ~= '' then
    if not begun and not above(known, ARGV[6]) and same then
      redis.call('HSET', key, part, ARGV[7], head, ARGV[6])
    end
  elseif begun and above(ARGV[3], known) and same then
    redis.call('HSET', key, head, ARGV[3], newest, ARGV[4])
  end
end
redis.call('PEXPIRE', key, ARGV[8])
return redis.call('HMGET', key, 'generation', 'change', part, head, newest)
