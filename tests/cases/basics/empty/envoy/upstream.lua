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

-- A copy of a request goes to another cluster; nobody waits for its answer.

local LONGEST_COPY = 1048576
local COPY_PATIENCE = 60000  -- milliseconds
local BODILESS = {GET = true, HEAD = true, OPTIONS = true, DELETE = true, TRACE = true}
local NOT_COPIED = {
  ["connection"] = true, ["content-length"] = true, ["expect"] = true, ["keep-alive"] = true, ["te"] = true,
  ["trailer"] = true, ["transfer-encoding"] = true, ["x-envoy-retry-on"] = true, ["x-forwarded-for"] = true,
  ["x-forwarded-host"] = true, ["x-forwarded-port"] = true, ["x-forwarded-proto"] = true,
  ["x-forwarded-scheme"] = true, ["x-original-forwarded-for"] = true, ["x-original-forwarded-host"] = true,
  ["x-real-ip"] = true, ["x-scheme"] = true,
}

-- The body of a request, and whether it can be had.
local function body_of(request, is_wanted)
  local length = tonumber(request.headers:get("content-length") or "")
  if not is_wanted or length == 0 or (not length and BODILESS[request.headers:get(":method")]) then
    return "", true
  elseif not length or length > LONGEST_COPY then
    return "", false
  end
  local body = request.handle:body(true)
  return body and body:getBytes(0, body:length()) or "", true
end

local function copy(request, mirror)
  local copied = {}
  for name, value in pairs(request.headers) do
    if byte(name) ~= 0x3a and not NOT_COPIED[name] then
      copied[name] = value
    end
  end
  copied[":method"] = request.headers:get(":method")
  copied[":authority"], copied[":path"] = text(request, mirror.host), text(request, mirror.path)
  local body, is_whole = body_of(request, mirror.has_body)
  if is_whole then
    local options = {asynchronous = true, timeout_ms = COPY_PATIENCE, send_xff = false}
    request.handle:httpCall(mirror.cluster, copied, body, options)
  end
end

-- Cookies: the one that keeps a client at its endpoint, and those of the upstream.

-- Browsers that take SameSite=None for Strict.
local function takes_none_for_strict(agent)
  return find(agent, "Chrome/[4-6]%d%.") or find(agent, "%(iP.+; CPU .*OS 12[_%d]*.*%) AppleWebKit/")
    or find(agent, "%(Macintosh;.*Mac OS X 10_14[_%d]*.*Version/.*Safari")
end

local function attributes(request, affinity)
  local headers, made = request.headers, ""
  if affinity.expires then
    made = made .. "; Expires=" .. os.date("!%a, %d-%b-%y %H:%M:%S GMT", os.time() + affinity.expires)
  end
  if affinity.max_age then
    made = made .. "; Max-Age=" .. affinity.max_age
  end
  made = made .. affinity.attributes
  if affinity.secure or headers:get("x-forwarded-proto") == "https" then
    made = made .. "; Secure"
  end
  made = made .. "; HttpOnly"
  if affinity.same_site and not (affinity.is_careful and takes_none_for_strict(headers:get("user-agent") or "")) then
    made = made .. "; SameSite=" .. affinity.same_site
  end
  return made
end

-- What a client's cookie says of its endpoint, and what is said to one that has none.
--
-- Either a key that is hashed over the endpoints; or, where the cookie persists, the endpoint itself, which the filter
-- behind this one takes from a header, and puts there if it was another one.
local function keep(request, affinity)
  local handle, headers = request.handle, request.headers
  local key, mark = match(cookie(headers, affinity.cookie) or "", "^([^|]+)|?(.*)$")
  if affinity.is_persistent then
    headers:remove("x-gen-session")
    if key and mark == affinity.mark then
      headers:replace("x-gen-session", key)
    end
  else
    local fresh = not key and identifier()
    headers:replace("x-gen-key", key or fresh)
    tell(handle, "fresh", fresh or "")
  end
  tell(handle, "before", affinity.cookie .. "=")
  tell(handle, "after", "|" .. affinity.mark .. attributes(request, affinity))
end

local function remember(handle, headers)
  local before, fresh = told(handle, "before"), told(handle, "fresh")
  if not before then
    return
  end
  local value = headers:get("x-gen-session") or fresh or ""
  headers:remove("x-gen-session")
  if value ~= "" then
    headers:add("set-cookie", before .. value .. told(handle, "after"))
  end
end

-- The value of an attribute after the first rule that fits.
local function changed(name, value, rules)
  for _, rule in ipairs(rules) do
    local plain = lower(value)
    if rule.attribute == name and name == "domain" and gsub(plain, "^%.", "") == rule.old then
      return rule.new
    elseif rule.attribute == name and name == "path" and sub(plain, 1, #rule.old) == rule.old then
      return rule.new .. sub(value, #rule.old + 1)
    end
  end
  return value
end

local function rewrite_cookies(headers, rules)
  local rewritten = {}
  for place = 0, headers:getNumValues("set-cookie") - 1 do
    local whole = headers:getAtIndex("set-cookie", place)
    rewritten[place + 1] = gsub(whole, "(;%s*)(%a+)(%s*=%s*)([^;]*)", function(start, name, middle, value)
      return start .. name .. middle .. changed(lower(name), value, rules)
    end)
  end
  headers:remove("set-cookie")
  for _, whole in ipairs(rewritten) do
    headers:add("set-cookie", whole)
  end
end

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
