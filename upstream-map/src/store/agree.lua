-- Decides a splice proposal of an edge: the counterpart of StreamSplices::propose in
-- splice_registry.rs. Records are sealed; 'change' is a switch record, 'part' a splice record.
-- KEYS: the stream's hash. ARGV: 1 rendition, 2 generation, 3 number after the last published
-- one, 4 tail record, 5 switch record, or its first 16 bytes, with which no generation begins,
-- 6 first number of the splice or '', 7 splice record, 8 lifetime in ms, 9 as 5, sealed with the
-- previous key, or '', 10 number below which a killed edge may have published, 11 '1' if the
-- splice record is restored, 12 how many ms ago the generation began or '', 13 the channel on which
-- the other edges are told of a number, 14 sender, stream and rendition, as they are told, 15 the
-- first bytes of the splice record that the edge knows, or ''.
-- Returns generation, switch record, splice record ('=' if it is the one that the edge knows), head,
-- tail record, reservation, and how many ms
-- ago the generation began and the head was raised, by the clock of Redis: those of edges differ.
local key, rendition = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function set_time(field, ms)
  redis.call('HSET', key, field, string.format('%.0f', ms))
end
local function age(field)
  local at = redis.call('HGET', key, field)
  return at and string.format('%.0f', math.max(now - tonumber(at), 0))
end
local generation = ARGV[2]
local current = redis.call('HGET', key, 'generation') or '0'
if above(generation, current) and #ARGV[5] > 16 then
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if string.sub(field, 1, 5) == 'part/' then
      redis.call('HDEL', key, field)
    end
  end
  redis.call('HSET', key, 'generation', generation, 'change', ARGV[5])
  if (ARGV[12] or '') == '' then
    redis.call('HDEL', key, 'changed_at')
  else
    set_time('changed_at', now - tonumber(ARGV[12]))
  end
  current = generation
end
local part = 'part/' .. rendition
local head = 'head/' .. rendition
local newest = 'newest/' .. rendition
local reserved = redis.call('HGET', key, 'reserved') or '0'
local known = redis.call('HGET', key, head) or '0'
local begun = redis.call('HEXISTS', key, part) == 1
local function highest(one, other)
  return above(one, other) and one or other
end
if generation == current then
  local before = reserved
  if not begun then
    reserved = highest(ARGV[10] or '0', reserved)
  end
  local change = redis.call('HGET', key, 'change') or ''
  local function starts_with(prefix)
    return (prefix or '') ~= '' and string.sub(change, 1, #prefix) == prefix
  end
  -- While keys are rotated, edges seal the same switch record with different keys.
  local same = starts_with(ARGV[5]) or starts_with(ARGV[9])
  if ARGV[6] ~= '' then
    local free = ARGV[11] == '1' and known or highest(known, reserved)
    if not begun and not above(free, ARGV[6]) and same then
      redis.call('HSET', key, part, ARGV[7], head, ARGV[6])
    end
  elseif begun and above(ARGV[3], known) and same then
    redis.call('HSET', key, head, ARGV[3], newest, ARGV[4])
    set_time('newest_at/' .. rendition, now)
    redis.pcall('PUBLISH', ARGV[13], ARGV[14] .. ' ' .. ARGV[3])
    if above(reserved, ARGV[3]) then
      reserved = ARGV[3]
    end
  end
  if reserved ~= before then
    redis.call('HSET', key, 'reserved', reserved)
  end
end
redis.call('PEXPIRE', key, ARGV[8])
local reply = redis.call('HMGET', key, 'generation', 'change', part, head, newest, 'reserved')
if reply[3] and ARGV[15] ~= '' and string.sub(reply[3], 1, #ARGV[15]) == ARGV[15] then
  reply[3] = '='
end
reply[7] = age('changed_at')
reply[8] = age('newest_at/' .. rendition)
return reply
