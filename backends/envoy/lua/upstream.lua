-- What a request becomes for its upstream, after all that may refuse it; and the answer on its way back.

-- The route puts some headers in the place of those that all requests get; it finds them in the dynamic metadata.
local function rename(request, pieces)
  local made = text(request, pieces)
  tell(request.handle, "x-forwarded-host", request.host)
  request.headers:replace(":authority", made ~= "" and made or request.host)
end

local function set_headers(request, headers)
  for _, header in ipairs(headers) do
    local value = text(request, header.value)
    if header.is_late then
      tell(request.handle, header.name, value)
    elseif value == "" then
      request.headers:remove(header.name)
    else
      request.headers:replace(header.name == "host" and ":authority" or header.name, value)
    end
  end
end

-- Encodes what no path may hold; what the groups found still has the signs encoded that would change its meaning.
local function path_of(request, pieces)
  local made = {}
  for place, piece in ipairs(pieces) do
    local kept = piece.name == "capture" and "[^%w/!$&'()*+,:;@._~=%%-]" or "[^%w/!$&'()*+,:;@._~=-]"
    made[place] = piece.literal or gsub(VALUES[piece.name](request, piece.argument) or "", kept, escaped)
  end
  return concat(made)
end

local function try_again(headers, retries)
  if retries.any_method or IDEMPOTENT[headers:get(":method")] then
    headers:replace("x-envoy-retry-on", retries.words)
    headers:replace("x-envoy-retriable-status-codes", retries.statuses)
  end
end

local function hash(request, pieces, subset)
  local key = text(request, pieces)
  request.headers:replace("x-gen-key", subset and key .. "#" .. random(1, tonumber(subset)) or key)
end

local function prepare_redirects(request, redirects)
  for place, redirect in ipairs(redirects) do
    tell(request.handle, "redirect" .. place, text(request, redirect.new))
  end
end

function envoy_on_request(handle)
  local asked, request = handle:filterContext(), request_of(handle)
  if not request then
    return
  end
  local affinity, key, retries = asked:get("affinity"), asked:get("hash"), asked:get("retries")
  local host, path, headers = asked:get("host"), asked:get("path"), asked:get("headers")
  local redirects, mirror = asked:get("redirects"), asked:get("mirror")
  if affinity then keep(request, affinity) end
  if key then hash(request, key, asked:get("hash_subset")) end
  if retries then try_again(request.headers, retries) end
  if redirects then prepare_redirects(request, redirects) end
  if mirror then copy(request, mirror) end
  local rewritten = path and path_of(request, path)
  if host then rename(request, host) end
  if headers then set_headers(request, headers) end
  if rewritten then request.headers:replace(":path", rewritten .. sub(request.target, #request.path + 1)) end
end

local function rewrite_redirects(handle, headers, redirects)
  local location, refresh = headers:get("location"), headers:get("refresh")
  local before, url = match(refresh or "", "^(.-[uU][rR][lL]=)(.*)$")
  for place, redirect in ipairs(redirects) do
    local new, length = told(handle, "redirect" .. place), #redirect.old
    if new and location and sub(location, 1, length) == redirect.old then
      headers:replace("location", new .. sub(location, length + 1))
      location = nil
    end
    if new and url and sub(url, 1, length) == redirect.old then
      headers:replace("refresh", before .. new .. sub(url, length + 1))
      url = nil
    end
  end
end

function envoy_on_response(handle)
  local asked, headers = handle:filterContext(), handle:headers()
  local cookies, redirects = asked:get("cookies"), asked:get("redirects")
  if cookies then rewrite_cookies(headers, cookies) end
  if redirects then rewrite_redirects(handle, headers, redirects) end
  if asked:get("affinity") then remember(handle, headers) end
end
