-- What edges agree on about a stream's splices; Entry::agree in ledger.rs is the same.
-- KEYS: the stream's. ARGV: rendition, generation, next, newest, change, the part's first number
-- or '', the part, ms to live.
local key, rendition = KEYS[1], ARGV[1]
local generation = tonumber(ARGV[2])
local current = tonumber(redis.call('HGET', key, 'generation') or '0')
if generation > current and ARGV[5] ~= '' then
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, 5) == 'part/' then
      redis.call('HDEL', key, field)
    end
  end
  redis.call('HSET', key, 'generation', ARGV[2], 'change', ARGV[5])
  current = generation
end
local part = 'part/' .. rendition
local head = 'head/' .. rendition
local newest = 'newest/' .. rendition
if generation == current then
  local begun = redis.call('HEXISTS', key, part) == 1
  local known = tonumber(redis.call('HGET', key, head) or '0')
  if ARGV[6] ~= '' then
    local change = redis.call('HGET', key, 'change')
    if not begun and tonumber(ARGV[6]) >= known and change == ARGV[5] then
      redis.call('HSET', key, part, ARGV[7], head, ARGV[6])
    end
  elseif begun and tonumber(ARGV[3]) > known then
    redis.call('HSET', key, head, ARGV[3], newest, ARGV[4])
  end
end
redis.call('PEXPIRE', key, ARGV[8])
return redis.call('HMGET', key, 'generation', 'change', part, head, newest)
