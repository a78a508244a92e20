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
