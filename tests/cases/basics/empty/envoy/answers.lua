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

-- Certificates of clients.  The filter of networks lets nobody pass of whom it is not told here that the rule was kept.

local TOLD_OF_CLIENTS = {"ssl-client-verify", "ssl-client-subject-dn", "ssl-client-issuer-dn", "ssl-client-cert"}

local function tell_upstream(headers, ssl, rule)
  if not ssl:peerCertificatePresented() then
    headers:replace("ssl-client-verify", "NONE")
    return
  end
  headers:replace("ssl-client-verify", ssl:peerCertificateValidated() and "SUCCESS" or "FAILED:certificate verify failed")
  headers:replace("ssl-client-subject-dn", ssl:subjectPeerCertificate())
  headers:replace("ssl-client-issuer-dn", ssl:issuerPeerCertificate())
  if rule.pass_upstream then
    headers:replace("ssl-client-cert", ssl:urlEncodedPemEncodedPeerCertificate())
  end
end

-- Whether a certificate lacks, or is not signed by whom it has to be.
local function is_wrong(ssl, verify)
  if not ssl or not ssl:peerCertificatePresented() then
    return verify == "on"
  end
  return verify ~= "unchecked" and not ssl:peerCertificateValidated()
end

-- The answer to a request that does not keep the rule of its host, if it is one.
local function refused(request, rule)
  local headers, ssl = request.headers, request.handle:streamInfo():downstreamSslConnection()
  for _, name in ipairs(TOLD_OF_CLIENTS) do
    headers:remove(name)
  end
  if rule.is_closed then
    return {[":status"] = "403"}
  end
  if ssl and headers:get("x-gen-client") ~= rule.id then
    return {[":status"] = "421"}  -- the name in the handshake belongs to a host with another rule
  end
  local is_plain = not ssl and headers:get("x-forwarded-proto") == "http"  -- which may be redirected
  if not is_plain and is_wrong(ssl, rule.verify) then
    return rule.error_page and {[":status"] = "302", ["location"] = rule.error_page} or {[":status"] = "400"}
  end
  if ssl then
    tell_upstream(headers, ssl, rule)
  elseif rule.has_subject then
    return {[":status"] = "403"}
  end
  tell(request.handle, "client", rule.id)
end

-- Pages in the place of errors: another upstream says them, status and all.

local PAGE_WITHIN = 30000  -- milliseconds
local NOT_OF_PAGES = {
  ["connection"] = true, ["content-length"] = true, ["date"] = true, ["keep-alive"] = true, ["te"] = true,
  ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true,
}

-- Keeps of a request what is asked for in the place of an error: the answer will know nothing of it.
local function keep(request)
  tell(request.handle, "asked", {
    method = VALUES.request_method(request),
    path = request.query ~= "" and "/?" .. request.query or "/",
    host = request.host,
    uri = request.target,
    format = request.headers:get("accept") or "",
    id = request.headers:get("x-request-id") or "",
    client = VALUES.remote_addr(request),
    scheme = VALUES.scheme(request) or "http",
  })
end

local function page(handle, pages, status, asked)
  if not pages.cluster then
    return {[":status"] = "404", ["content-type"] = "text/plain"}, "default backend - 404"
  end
  local headers = {
    [":method"] = asked.method, [":path"] = asked.path, [":authority"] = asked.host,
    ["x-code"] = status, ["x-format"] = asked.format, ["x-original-uri"] = asked.uri, ["x-request-id"] = asked.id,
    ["x-forwarded-for"] = asked.client, ["x-real-ip"] = asked.client, ["x-forwarded-proto"] = asked.scheme,
  }
  for _, header in ipairs(pages.headers or {}) do
    headers[header.name] = header.value
  end
  return handle:httpCall(pages.cluster, headers, nil,
    {timeout_ms = PAGE_WITHIN, send_xff = false, return_duplicate_headers = true})
end

-- Puts the page of an error in its place, if there is one for it.
local function replace_error(handle, pages)
  local headers, asked = handle:headers(), told(handle, "asked")
  local status, is_upstreams = headers:get(":status"), headers:get("x-gen-answered") == "via_upstream"
  headers:remove("x-gen-answered")
  if not asked or not pages.statuses[status] or is_upstreams then
    return
  end
  local old = {}
  for name in pairs(headers) do
    old[#old + 1] = name
  end
  handle:body(true)  -- holds back the body, which would be on its way after the call
  local answer, body = page(handle, pages, status, asked)
  headers = handle:headers()
  for _, name in ipairs(old) do
    if byte(name) ~= 0x3a then
      headers:remove(name)
    end
  end
  for name, values in pairs(answer) do
    if not NOT_OF_PAGES[name] and byte(name) ~= 0x3a and not find(name, "^x%-envoy%-") then
      for _, value in ipairs(type(values) == "table" and values or {values}) do
        headers:add(name, value)
      end
    end
  end
  headers:replace(":status", answer[":status"])
  local length = handle:body(true):setBytes(body or "")
  headers:replace("content-length", tostring(length))
end

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
