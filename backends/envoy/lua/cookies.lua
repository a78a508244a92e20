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
