-- Numbers as they are written: beyond 2^53 Lua's own cannot be told apart.

-- 0 for what is none.
local function decimal(text)
  return string.match(text or '', '^%d+$') or '0'
end

local function above(one, other)
  return #one > #other or (#one == #other and one > other)
end

local function following(number)
  local head, nines = string.match(number, '^(%d-)(9*)$')
  head = head == '' and '0' or head
  local last = tonumber(string.sub(head, -1)) + 1
  return string.sub(head, 1, -2) .. last .. string.rep('0', #nines)
end

