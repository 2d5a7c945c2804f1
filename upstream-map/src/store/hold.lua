-- Takes the lease if it is free, renews it if it is ours; says the fence, 0 if another has it,
-- and who has it.
-- KEYS: lease, fence. ARGV: holder, lease in ms, unix ms, fence we had last.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return {'0', holder}
end
local fence = redis.call('GET', KEYS[2])
if holder and fence then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {fence, ARGV[1]}
end
-- Grows though Redis forgot it, as versions do.
local last = decimal(fence)
if above(ARGV[4], last) then
  last = ARGV[4]
end
fence = following(last)
if above(ARGV[3], fence) then
  fence = ARGV[3]
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], fence)
return {fence, ARGV[1]}
