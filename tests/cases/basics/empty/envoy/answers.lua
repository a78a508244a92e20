-- Paths as routes are matched with: decoded, slashes merged, dot segments resolved, as nginx does it.

local byte, char, find, format, gmatch = string.byte, string.char, string.find, string.format, string.gmatch
local gsub, lower, match, sub, upper = string.gsub, string.lower, string.match, string.sub, string.upper
local concat, random = table.concat, math.random

local KEPT = {[0x23] = true, [0x25] = true, [0x3f] = true, [0x7f] = true}  -- # % ? DEL

local function decode(hex)
  local code = #hex == 2 and tonumber(hex, 16) or 0
  if code == 0 then
    return "\0"
  end
  return (code < 0x20 or KEPT[code]) and "%" .. upper(hex) or char(code)
end

local function resolve(path)
  local kept, depth, last = {}, 0, ""
  for segment in gmatch(path, "[^/]+") do
    last = segment
    if segment == ".." then
      if depth == 0 then
        return nil
      end
      kept[depth] = nil
      depth = depth - 1
    elseif segment ~= "." then
      depth = depth + 1
      kept[depth] = segment
    end
  end
  local is_open = depth > 0 and (last == "." or last == ".." or byte(path, -1) == 0x2f)
  return "/" .. concat(kept, "/") .. (is_open and "/" or "")
end

-- The canonical form of a path; nil for one that is none: a bad escape, a NUL, or more `..` than there is to leave.
local function canonical(path)
  if find(path, "%", 1, true) then
    path = gsub(path, "%%(%x?%x?)", decode)
    if find(path, "%z") then
      return nil
    end
  end
  if find(path, "//", 1, true) or find(path, "/.", 1, true) then
    return resolve(path)
  end
  return path
end

-- The path and the query of a target.
local function halves(target)
  local stop = find(target, "?", 1, true)
  if stop then
    return sub(target, 1, stop - 1), sub(target, stop + 1)
  end
  return target, ""
end

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

-- Answers that nobody is asked for: redirects, preflight requests, upstreams without endpoints; and what all answers say.

local function origin(handle, headers, host)
  return headers:get("x-forwarded-proto") .. "://" .. (host and host .. ":" .. port(handle) or headers:get(":authority"))
end

-- Complete from the scheme or the path on, or the URL of the request with the parts that the redirect has.
local function location(request, redirect)
  local rest, end_of_client = redirect.url, redirect.cut_slash and "/$" or "$"
  if rest then
    if byte(rest) ~= 0x2f then
      return rest
    end
  elseif redirect.path then
    rest = redirect.path .. (request.query ~= "" and "?" .. request.query or "")
  elseif redirect.query then
    rest = gsub(request.path, end_of_client, "") .. (redirect.query ~= "" and "?" .. redirect.query or "")
  else
    rest = gsub(request.target, end_of_client, "")
  end
  return redirect.is_relative and rest or origin(request.handle, request.headers, redirect.host) .. rest
end

function envoy_on_request(handle)
  local asked, request = handle:filterContext(), request_of(handle)
  if not request then
    return
  end
  local redirect = asked:get("redirect")
  if redirect then
    handle:respond({[":status"] = redirect.status, ["location"] = location(request, redirect)}, "")
    return
  end
  if asked:get("captures") then
    request.headers:replace("x-gen-path", canonical(request.path) or "")
  end
end
