-- Arithmetic on decimal strings, because Lua's numbers are doubles and inexact beyond 2^53.

-- The text if it is a decimal number, else '0'.
local function decimal(text)
  return string.match(text or '', '^%d+$') or '0'
end

-- Whether `one` is greater than `other`; both without leading zeros.
local function above(one, other)
  return #one > #other or (#one == #other and one > other)
end

-- The number plus one.
local function following(number)
  local head, nines = string.match(number, '^(%d-)(9*)$')
  head = head == '' and '0' or head
  local last = tonumber(string.sub(head, -1)) + 1
  return string.sub(head, 1, -2) .. last .. string.rep('0', #nines)
end

