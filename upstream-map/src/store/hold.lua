-- Acquires the lease if it is free, or renews it for its holder.
-- KEYS: lease, fence. ARGV: holder, lease duration in ms, Unix ms, the holder's last fencing token.
-- Returns the fencing token, or '0' if another process has the lease, and the holder.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  return {'0', holder}
end
local fence = redis.call('GET', KEYS[2])
if holder and fence then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {fence, ARGV[1]}
end
-- The token grows even if Redis lost it, because it follows the clock and the holder's last token.
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
