-- Texts that hold values of the request: what gen.policy calls variables.

local function raw(hex)
  return char(tonumber(hex, 16))
end

local function port(handle)
  return match(handle:streamInfo():downstreamLocalAddress(), "%d+$")
end

local function assigned(text, name, pattern)
  for key, value in gmatch(text or "", pattern) do
    if key == name then
      return value
    end
  end
end

local function cookie(headers, name)
  return assigned(headers:get("cookie"), name, "([^=;%s]+)=([^;]*)")
end

local function escaped(sign)
  return format("%%%02X", byte(sign))
end

-- What our filters tell each other of a request.
local function told(handle, name)
  local all = handle:streamInfo():dynamicMetadata():get("gen")
  return all and all[name]
end

local function tell(handle, name, value)
  handle:streamInfo():dynamicMetadata():set("gen", name, value)
end

-- The groups that the regex of the route found, which the filter before the checks of access leaves between tabs.
local function captures(request)
  if not request.captures then
    request.captures = {}
    for group in gmatch((told(request.handle, "captures") or "") .. "\t", "(.-)\t") do
      request.captures[#request.captures + 1] = group
    end
  end
  return request.captures
end

local VALUES = {
  host = function(request) return lower((gsub(request.host, ":%d*$", ""))) end,
  http_host = function(request) return request.host end,
  scheme = function(request) return request.headers:get("x-forwarded-proto") end,
  uri = function(request) return (gsub(canonical(request.path) or "", "%%([23]%x)", raw)) end,
  request_uri = function(request) return request.target end,
  escaped_request_uri = function(request) return (gsub(request.target, "[^%w._~-]", escaped)) end,
  args = function(request) return request.query end,
  is_args = function(request) return request.query ~= "" and "?" or "" end,
  remote_addr = function(request)
    return match(request.handle:streamInfo():downstreamRemoteAddress(), "^%[?(.-)%]?:%d+$")
  end,
  remote_user = function() return "" end,
  request_method = function(request) return request.headers:get(":method") end,
  request_id = function(request) return request.headers:get("x-request-id") end,
  server_port = function(request) return port(request.handle) end,
  header = function(request, name) return request.headers:get(name) end,
  cookie = function(request, name) return cookie(request.headers, name) end,
  query = function(request, name) return assigned(request.query, name, "([^&=]+)=([^&]*)") end,
  capture = function(request, number) return captures(request)[tonumber(number)] end,
}

-- A request whose values texts may hold; nil for one without path or host.
local function request_of(handle)
  local headers = handle:headers()
  local target, host = headers:get(":path"), headers:get(":authority")
  if target and host then
    local path, query = halves(target)
    return {handle = handle, headers = headers, host = host, target = target, path = path, query = query}
  end
end

local function text(request, pieces)
  local made = {}
  for place, piece in ipairs(pieces) do
    made[place] = piece.literal or VALUES[piece.name](request, piece.argument) or ""
  end
  return concat(made)
end
