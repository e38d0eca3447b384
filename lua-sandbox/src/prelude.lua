-- A script that catches an error sees the value that Redis shows, not the userdata of mlua. Errors in
-- this file have the position of the script that called (`failure.rs`).
local seen, alive, refuse, raw_pcall, raw_xpcall, raw_error, raw_resume, select, type = ...

local depth = 0

local function plain(err)
  err = seen(err)
  if type(err) == 'table' then
    local text = err.err
    if type(text) == 'string' or type(text) == 'number' then return text end
  end
  return err
end

local function caught(ok, ...)
  if ok then return ok, ... end
  return false, plain((...))
end

local function caught_by_handler(ok, ...)
  if not ok then alive() end
  return ok, ...
end

local function resumed(ok, ...)
  depth = depth - 1
  if ok then return ok, ... end
  return false, seen((...))
end

local function results(ok, ...)
  if ok then return ... end
  raw_error((...), 3)
end

local function pcall(...)
  if (...) == nil and select('#', ...) == 0 then return end
  return caught(raw_pcall(...))
end

local function xpcall(...)
  if select('#', ...) < 2 then refuse(2, 'value expected') end
  local f, handler = ...
  return caught_by_handler(raw_xpcall(f, function(err) return handler(seen(err)) end))
end

-- Lua 5.1 has no limit on nested coroutines, and would exhaust the stack.
local function resume(co, ...)
  if type(co) ~= 'thread' then refuse(1, 'coroutine expected') end
  if depth >= 32 then return false, 'C stack overflow' end
  depth = depth + 1
  return resumed(raw_resume(co, ...))
end

local function wrapped(co)
  return function(...) return results(resume(co, ...)) end
end

local function begin() depth = 0 end

return pcall, xpcall, resume, wrapped, begin
