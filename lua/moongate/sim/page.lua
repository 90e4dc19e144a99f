-- page: one page of a listing, {entities, pageSize, pageNumber, total, pageCount, nextUri}.
local errors = require "moongate.sim.errors"
local json = require "moongate.json"

local M = {}

local max_size = 100

local function parameter(call, name, default, max)
  local text = call.req.query[name]
  if not text then return default end
  local v = text:match "^%d+$" and math.tointeger(tonumber(text))
  if not v or v < 1 or v > max then
    return nil, errors.field(name, "range", ("must be an integer from 1 to %d"):format(max))
  end
  return v
end

-- entities: all of them, in order
function M.response(call, entities)
  local number, bad_number = parameter(call, "pageNumber", 1, math.maxinteger // max_size)
  local size, bad_size = parameter(call, "pageSize", 25, max_size)
  if not (number and size) then
    local details = {}
    details[#details + 1] = bad_number
    details[#details + 1] = bad_size
    return errors.response(call, 400, "bad.request", "A paging parameter is out of range.", details)
  end
  local first = (number - 1) * size
  local part = table.move(entities, first + 1, math.min(first + size, #entities), 1, {})
  local more = first + size < #entities
  return {
    json = {
      entities = json.array(part),
      pageSize = size,
      pageNumber = number,
      total = #entities,
      pageCount = (#entities + size - 1) // size,
      nextUri = more and ("%s?pageNumber=%d&pageSize=%d"):format(call.req.path, number + 1, size) or json.null,
    },
  }
end

return M
