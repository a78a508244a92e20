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
