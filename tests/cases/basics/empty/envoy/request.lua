-- What every request goes through before it is forwarded.  This text is constant.
--
-- Paths are matched decoded, with slashes merged and dot segments resolved, as nginx does it; hosts without a final
-- dot.  What is forwarded stays as it was sent: the route is chosen with the canonical path and host in place, then
-- the sent ones come back (`clear_route_cache: false` keeps the choice).
-- A route may ask, by its metadata, for a redirect: that is the answer then; or for another host, made of values of the
-- request: the route puts the one that was sent, which it finds in the dynamic metadata, into X-Forwarded-Host.
-- A request without an X-Request-ID gets 32 hexadecimal digits.  One that may be sent twice may be tried again.

local byte, char, find, format, gmatch = string.byte, string.char, string.find, string.format, string.gmatch
local gsub, lower, match, sub, upper = string.gsub, string.lower, string.match, string.sub, string.upper
local concat, random = table.concat, math.random

local IDEMPOTENT = {GET = true, HEAD = true, OPTIONS = true, PUT = true, DELETE = true, TRACE = true}
local KEPT = {[0x23] = true, [0x25] = true, [0x3f] = true, [0x7f] = true}  -- # % ? DEL

local noise = io.open("/dev/urandom", "rb")
local seed = 0
for _ = 1, 6 do
  seed = seed * 256 + byte(noise:read(1))
end
noise:close()
math.randomseed(seed)  -- every worker runs this text by itself, and would count from the same number

local function decode(hex)
  local code = #hex == 2 and tonumber(hex, 16) or 0
  if code == 0 then
    return "\0"
  end
  return (code < 0x20 or KEPT[code]) and "%" .. upper(hex) or char(code)
end

local function raw(hex)
  return char(tonumber(hex, 16))
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

local function without_dot(host)
  if byte(host, -1) == 0x2e then
    return sub(host, 1, -2)
  end
  return find(host, ".:", 1, true) and gsub(host, "%.(:%d+)$", "%1") or host
end

local function port(handle)
  return match(handle:streamInfo():downstreamLocalAddress(), "%d+$")
end

local function origin(handle, headers, host)
  return headers:get("x-forwarded-proto") .. "://" .. (host and host .. ":" .. port(handle) or headers:get(":authority"))
end

-- Complete from the scheme or the path on, or the URL of the request with the parts that the redirect has.
local function location(handle, headers, redirect, target, path, query)
  local rest, end_of_client = redirect.url, redirect.cut_slash and "/$" or "$"
  if rest then
    if byte(rest) ~= 0x2f then
      return rest
    end
  elseif redirect.path then
    rest = redirect.path .. (query ~= "" and "?" .. query or "")
  elseif redirect.query then
    rest = gsub(path, end_of_client, "") .. (redirect.query ~= "" and "?" .. redirect.query or "")
  else
    rest = gsub(target, end_of_client, "")
  end
  return redirect.is_relative and rest or origin(handle, headers, redirect.host) .. rest
end

local function assigned(text, name, pattern)
  for key, value in gmatch(text or "", pattern) do
    if key == name then
      return value
    end
  end
end

local function escaped(sign)
  return format("%%%02X", byte(sign))
end

-- The values that a text may hold: what gen.policy calls variables.
local VALUES = {
  host = function(request) return lower((gsub(request.host, ":%d*$", ""))) end,
  http_host = function(request) return request.host end,
  scheme = function(request) return request.headers:get("x-forwarded-proto") end,
  uri = function(request) return (gsub(request.matched, "%%([23]%x)", raw)) end,
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
  cookie = function(request, name) return assigned(request.headers:get("cookie"), name, "([^=;%s]+)=([^;]*)") end,
  query = function(request, name) return assigned(request.query, name, "([^&=]+)=([^&]*)") end,
}

local function text(request, pieces)
  local made = {}
  for place, piece in ipairs(pieces) do
    made[place] = piece.literal or VALUES[piece.name](request, piece.argument) or ""
  end
  return concat(made)
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local target, host = headers:get(":path"), headers:get(":authority")
  if not target or not host then
    return
  end
  local stop = find(target, "?", 1, true)
  local path, query = stop and sub(target, 1, stop - 1) or target, stop and sub(target, stop + 1) or ""
  local matched, name = canonical(path), without_dot(host)
  if not matched then
    handle:respond({[":status"] = "400"}, "Bad Request")
    return
  end
  if matched ~= path or name ~= host then
    headers:replace(":path", stop and matched .. sub(target, stop) or matched)
    headers:replace(":authority", name)
    handle:clearRouteCache()
    handle:metadata()  -- asks for the route, which is chosen now
    headers:replace(":path", target)
    headers:replace(":authority", host)
  end
  if (headers:get("x-request-id") or "") == "" then
    headers:replace("x-request-id", format("%08x%08x%08x%08x", random(0, 0xffffffff), random(0, 0xffffffff),
      random(0, 0xffffffff), random(0, 0xffffffff)))
  end
  local metadata = handle:metadata()
  local redirect, upstream_host = metadata:get("redirect"), metadata:get("upstream_host")
  if redirect then
    local where = location(handle, headers, redirect, target, path, query)
    handle:respond({[":status"] = redirect.status, ["location"] = where}, "")
    return
  end
  if upstream_host then
    local request = {handle = handle, headers = headers, host = host, matched = matched, target = target, query = query}
    local made = text(request, upstream_host)
    handle:streamInfo():dynamicMetadata():set("gen", "host", host)
    headers:replace(":authority", made ~= "" and made or host)
  end
  if IDEMPOTENT[headers:get(":method")] then
    headers:replace("x-envoy-retry-on", "reset")
  end
end
