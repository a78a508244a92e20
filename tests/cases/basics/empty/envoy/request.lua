-- Paths as routes are matched with: decoded, slashes merged, dot segments resolved, as nginx does it.

local byte, char, find, format, gmatch = string.byte, string.char, string.find, string.format, string.gmatch
local gsub, lower, match, sub, upper = string.gsub, string.lower, string.match, string.sub, string.upper
local concat, random = table.concat, math.random

local IDEMPOTENT = {GET = true, HEAD = true, OPTIONS = true, PUT = true, DELETE = true, TRACE = true}
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

-- Numbers by chance: every worker runs a script by itself, and would count from the same number.

local noise = io.open("/dev/urandom", "rb")
local seed = 0
for _ = 1, 6 do
  seed = seed * 256 + byte(noise:read(1))
end
noise:close()
math.randomseed(seed)

local function identifier()
  return format("%08x%08x%08x%08x", random(0, 0xffffffff), random(0, 0xffffffff), random(0, 0xffffffff),
    random(0, 0xffffffff))
end

-- What every request goes through first: its route is chosen by its canonical path.
--
-- Hosts are matched without a final dot.  What is forwarded stays as it was sent: the route is chosen with the canonical
-- path and host in place, then the sent ones come back (`clear_route_cache: false` keeps the choice).
-- A request without an X-Request-ID gets 32 hexadecimal digits.  One that may be sent twice may be tried again.

local function without_dot(host)
  if byte(host, -1) == 0x2e then
    return sub(host, 1, -2)
  end
  return find(host, ".:", 1, true) and gsub(host, "%.(:%d+)$", "%1") or host
end

-- Whether a request says that it has a larger body than its route, or else the route table, allows.
local function is_too_large(handle, headers)
  local length = tonumber(headers:get("content-length") or "")
  local limit = length and (handle:metadata():get("body_limit") or handle:filterContext():get("body_limit"))
  return limit and limit > 0 and length > limit
end

-- What another proxy says of the request, where it is believed.
local function believe(handle, headers)
  local asked, stream = handle:filterContext(), handle:streamInfo()
  if asked:get("is_behind") and find(stream:downstreamLocalAddress(), ":443$") then
    headers:replace("x-forwarded-proto", "https")
  end
  local host = asked:get("believes") and match(headers:get("x-forwarded-host") or "", "^%s*([^,%s]+)")
  if host then
    headers:replace(":authority", host)
  end
  if asked:get("appends") then
    local before, peer = headers:get("x-original-forwarded-for"), stream:downstreamDirectRemoteAddress()
    peer = match(peer, "^%[?(.-)%]?:%d+$")
    stream:dynamicMetadata():set("gen", "addresses", before and before .. ", " .. peer or peer)
  end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local target, host = headers:get(":path"), headers:get(":authority")
  if not target or not host then  -- CONNECT names no path
    handle:respond({[":status"] = "405"}, "Method Not Allowed")
    return
  end
  local path = halves(target)
  local matched, name = canonical(path), without_dot(host)
  if not matched then
    handle:respond({[":status"] = "400"}, "Bad Request")
    return
  end
  if matched ~= path or name ~= host then
    headers:replace(":path", matched .. sub(target, #path + 1))
    headers:replace(":authority", name)
    handle:clearRouteCache()
    handle:metadata()  -- asks for the route, which is chosen now
    headers:replace(":path", target)
    headers:replace(":authority", host)
  end
  if is_too_large(handle, headers) then
    handle:respond({[":status"] = "413"}, "Payload Too Large")
    return
  end
  believe(handle, headers)
  if (headers:get("x-request-id") or "") == "" and not handle:filterContext():get("is_nameless") then
    headers:replace("x-request-id", identifier())
  end
  if IDEMPOTENT[headers:get(":method")] then
    headers:replace("x-envoy-retry-on", "reset")
  end
end
