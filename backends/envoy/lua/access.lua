-- Who may pass: passwords, and the word of another service.
--
-- The filter after this one lets nobody pass who was not granted it here, so an error in this text closes the route.
-- Checking a password costs its worker up to some hundredths of a second, so what was right is remembered.

local MOST_REMEMBERED = 1000
local NOT_COPIED = {
  ["connection"] = true, ["content-length"] = true, ["expect"] = true, ["host"] = true, ["keep-alive"] = true,
  ["te"] = true, ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true, ["x-forwarded-proto"] = true,
}
local SENT_BY = "nginx-ingress-controller"  -- services look for it

local remembered, count = {}, 0
local passwords = nil

-- Whether the request has the password of a user.
local function is_known(request, asked)
  passwords = passwords or assert(loadstring(LATER))()
  local credentials = match(request.headers:get("authorization") or "", "^[Bb][Aa][Ss][Ii][Cc] +(.+)$")
  local user, password = match(passwords.decoded(credentials or ""), "^([^:]*):(.*)$")
  local known = user and asked:get("user:" .. user)
  if not known then
    return false
  end
  local key = passwords.digest(known .. "\0" .. password)
  if remembered[key] then
    return true
  end
  if not passwords.fits(password, known) then
    return false
  end
  if count == MOST_REMEMBERED then
    remembered, count = {}, 0
  end
  remembered[key], count = true, count + 1
  return true
end

local function question(request, external)
  local headers = {}
  for name, value in pairs(request.headers) do
    if not NOT_COPIED[name] and not find(name, "^:") and not find(name, "^x%-envoy%-") then
      local values = headers[name] or {}
      values[#values + 1] = value
      headers[name] = values
    end
  end
  headers[":method"], headers[":authority"] = external.method, text(request, external.host)
  headers[":path"] = text(request, external.path)
  headers["x-original-url"] = VALUES.scheme(request) .. "://" .. request.host .. request.target
  headers["x-original-method"] = VALUES.request_method(request)
  headers["x-sent-from"] = SENT_BY
  headers["x-real-ip"] = VALUES.remote_addr(request)
  headers["x-forwarded-for"] = VALUES.remote_addr(request)
  headers["x-auth-request-redirect"] = text(request, external.request_redirect)
  for _, set in ipairs(external.request_headers or {}) do
    local value = text(request, set.value)
    headers[set.name] = value ~= "" and value or nil
  end
  return headers
end

local function each(values)
  return ipairs(type(values) == "table" and values or {values})
end

-- Asks the other service; gives its status and its headers.
local function ask(request, external)
  local answer = request.handle:httpCall(external.cluster, question(request, external), nil,
    {timeout_ms = external.milliseconds, send_xff = false, return_duplicate_headers = true})
  request.headers = request.handle:headers()  -- Envoy takes back what it gave before a call
  local status = tonumber(answer[":status"]) or 500
  local cookies = {}
  for _, cookie in each(answer["set-cookie"]) do
    cookies[#cookies + 1] = cookie
  end
  if #cookies > 0 then
    tell(request.handle, external.always_set_cookie and "cookies" or "cookies_of_success", cookies)
  end
  if status >= 200 and status < 300 then
    for _, name in ipairs(external.response_headers or {}) do
      request.headers:remove(name)
      for _, value in each(answer[name]) do
        request.headers:add(name, value)
      end
    end
    return 200, answer
  end
  return (status == 401 or status == 403) and status or 500, answer
end

local function challenge(request, realm)
  request.handle:respond({[":status"] = "401", ["www-authenticate"] = 'Basic realm="' .. realm .. '"'}, "Unauthorized\n")
end

local function refuse(request, external, status, answer)
  if status == 401 and external.signin then
    request.handle:respond({[":status"] = "302", ["location"] = text(request, external.signin)}, "")
  elseif status == 401 then
    request.handle:respond({[":status"] = "401", ["www-authenticate"] = answer["www-authenticate"]}, "Unauthorized\n")
  else
    request.handle:respond({[":status"] = tostring(status)}, status == 403 and "Forbidden\n" or "Internal Server Error\n")
  end
end

local function is_of_networks(handle)
  local networks = handle:streamInfo():dynamicMetadata():get("envoy.filters.http.rbac")
  return networks ~= nil and networks["gen_shadow_engine_result"] == "allowed"
end

-- One of them is enough.
local function passes_any(request, asked)
  local basic, external = asked:get("basic"), asked:get("external")
  if asked:get("networks") and is_of_networks(request.handle) or basic and is_known(request, asked) then
    return true
  end
  local status, answer = nil, nil
  if external then
    status, answer = ask(request, external)
    if status == 200 then
      return true
    end
  end
  if basic and not (status == 401 and external.signin) then
    challenge(request, basic.realm)
  else
    refuse(request, external, status, answer)
  end
  return false
end

local function passes_all(request, asked)
  local basic, external = asked:get("basic"), asked:get("external")
  if basic and not is_known(request, asked) then
    challenge(request, basic.realm)
    return false
  end
  if external then
    local status, answer = ask(request, external)
    if status ~= 200 then
      refuse(request, external, status, answer)
      return false
    end
  end
  return true
end

function envoy_on_request(handle)
  local asked, request = handle:filterContext(), request_of(handle)
  local passes = asked:get("any") and passes_any or passes_all
  if not request or not passes(request, asked) then
    return
  end
  if handle:filterContext():get("basic") then
    request.headers:remove("authorization")
  end
  tell(handle, "access", "granted")
end

-- Cookies of the other service go to the client.
function envoy_on_response(handle)
  local headers = handle:headers()
  local status = tonumber(headers:get(":status")) or 500
  for _, cookie in ipairs(told(handle, "cookies") or status < 400 and told(handle, "cookies_of_success") or {}) do
    headers:add("set-cookie", cookie)
  end
end
