-- Answers that nobody is asked for: redirects, preflight requests, upstreams without endpoints; and what all answers say.

local LONGEST_PATH = 8000  -- the filter that finds groups leaves out longer values without a word

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

local function set(headers, pairs)
  for _, pair in ipairs(pairs or {}) do
    if pair.value == "" then
      headers:remove(pair.name)
    else
      headers:replace(pair.name, pair.value)
    end
  end
end

-- Whether an origin is one of those: each is a whole one, or what stands before and after one label.
local function is_one_of(origin, patterns)
  for _, pattern in ipairs(patterns) do
    if pattern.whole then
      if pattern.whole == origin then
        return true
      end
    else
      local before, after = #pattern.before, #pattern.after
      if sub(origin, 1, before) == pattern.before and sub(origin, -after) == pattern.after
        and find(sub(origin, before + 1, -after - 1), "^[%w-]+$") then
        return true
      end
    end
  end
  return false
end

-- The origin that may read answers; nil where the one that asks may not.
local function allowed(headers, cors)
  local asking = headers:get("origin") or ""
  if not cors.origins then
    return "*"
  end
  return is_one_of(lower(asking), cors.origins) and asking or nil
end

-- Where plain HTTP is sent instead.
local function secured(request, redirect)
  local target = redirect.keep_slash and request.target or gsub(request.target, "/$", "")
  return "https://" .. gsub(request.host, ":%d*$", "") .. redirect.port .. target
end

-- The answer to a request that nobody needs to be asked about, if it is one.
local function answer(request, asked)
  local headers, cors = request.headers, asked:get("cors")
  if cors then
    local origin = allowed(headers, cors)
    if origin then
      tell(request.handle, "origin", origin)
      if headers:get(":method") == "OPTIONS" then
        tell(request.handle, "preflight", true)
        return {[":status"] = "204"}
      end
    end
  end
  local redirect, https = asked:get("redirect"), asked:get("https")
  if redirect then
    return {[":status"] = redirect.status, ["location"] = location(request, redirect)}
  elseif https and headers:get("x-forwarded-proto") == "http" then
    return {[":status"] = https.status, ["location"] = secured(request, https)}
  elseif asked:get("is_out_of_service") then
    return {[":status"] = "503"}
  elseif asked:get("captures") and #request.path > LONGEST_PATH then
    return {[":status"] = "414"}
  end
end

function envoy_on_request(handle)
  local asked, request = handle:filterContext(), request_of(handle)
  if not request then
    return
  end
  if asked:get("pages") then
    keep(request)
  end
  local client = asked:get("client")
  local answered = client and refused(request, client) or answer(request, asked)
  if answered then
    handle:respond(answered, answered[":status"] == "503" and "no healthy upstream" or "")
  elseif asked:get("captures") then
    request.headers:replace("x-gen-path", canonical(request.path) or "")
  end
end

function envoy_on_response(handle)
  local pages = handle:filterContext():get("pages")
  if pages then
    replace_error(handle, pages)
  end
  local asked, headers = handle:filterContext(), handle:headers()
  local cors, origin = asked:get("cors"), told(handle, "origin")
  if cors and origin then
    headers:replace("access-control-allow-origin", origin)
    set(headers, cors.headers)
    if told(handle, "preflight") then
      headers:replace("content-type", "text/plain charset=UTF-8")
    end
  end
  set(headers, asked:get("headers"))
end
