-- Writes a map, or what changed of it, all at once.
-- KEYS: map, fence. ARGV: how, version, fence, head it follows on from, channel, notice,
-- unix ms after which it is not wanted or '', number of fields to set, these with their values,
-- fields to delete.
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
-- Whoever sent it has given up meanwhile, and told somebody that it was not done.
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
