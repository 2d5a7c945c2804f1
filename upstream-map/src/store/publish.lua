-- Writes a map, in full or as a delta, atomically.
-- KEYS: map, fence. ARGV: mode ('delta', 'whole' or 'again'), version, fencing token, sealed
-- digest that a delta applies to, channel, notice, deadline in Unix ms or '', number of fields to
-- set, these fields with their values, fields to delete.
-- Returns the outcome, and the version or fencing token that decided it.
local how, version, fence = ARGV[1], ARGV[2], ARGV[3]
local highest = decimal(redis.call('GET', KEYS[2]))
if above(highest, fence) then
  return {'fenced', highest}
end
local stored = redis.call('HMGET', KEYS[1], 'version', 'head')
local last = decimal(stored[1])
if above(last, version) or (last == version and how ~= 'again') then
  return {'outdated', last}
end
-- After its deadline the caller has already reported that the map was not published.
if ARGV[7] ~= '' then
  local now = redis.call('TIME')
  if now[1] * 1000 + math.floor(now[2] / 1000) > tonumber(ARGV[7]) then
    return {'late', last}
  end
end
if how == 'delta' and stored[2] ~= ARGV[4] then
  return {'elsewhere', last}
end
if how ~= 'delta' then
  redis.call('DEL', KEYS[1])
end
local at = 9
for _ = 1, tonumber(ARGV[8]) do
  redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
  at = at + 2
end
while ARGV[at] do
  redis.call('HDEL', KEYS[1], ARGV[at])
  at = at + 1
end
redis.call('PUBLISH', ARGV[5], ARGV[6])
return {'written', ARGV[2]}
