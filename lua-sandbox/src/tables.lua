-- The loops of `table` in Lua, where the hook of a script can interrupt them (`tables.rs`).
local walked, raw_foreach, sortable, raw_sort, sort_error, pcall, rawget, rawset = ...

local function foreach(...) return raw_foreach(walked(...)) end

-- Moves the items from `last` down to `first` up by one.
local function raise(t, first, last)
  for i = last, first, -1 do rawset(t, i + 1, rawget(t, i)) end
end

-- Moves the items from `first` up to `last` down by one.
local function lower(t, first, last)
  for i = first, last do rawset(t, i - 1, rawget(t, i)) end
end

local function sorted(ok, ...)
  if not ok then sort_error(...) end
end

local function less(a, b) return a < b end

local function sort(...)
  local t, compare, is_native = sortable(...)
  if is_native then
    -- A function that is not in Lua runs no hook, one around it does. Errors show no name of a
    -- function with a numeric index.
    local natives = {compare}
    compare = compare and function(a, b) return natives[1](a, b) end or less
  end
  -- Not a tail call, which would hide the position of the script.
  sorted(pcall(raw_sort, t, compare))
end

return foreach, raise, lower, sort
