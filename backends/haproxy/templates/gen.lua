-- The same for every configuration: what differs comes in variables of the transaction.

local TIMEOUT = 60000 -- milliseconds for the answer of another service
local NOT_COPIED = {
  ["connection"] = true, ["content-length"] = true, ["expect"] = true, ["host"] = true, ["keep-alive"] = true,
  ["te"] = true, ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true, ["x-forwarded-proto"] = true,
}

local TOLD = { -- of us, to upstreams; not to the receiver of copies
  "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-scheme", "x-original-forwarded-for",
  "x-original-forwarded-host", "x-real-ip", "x-scheme",
}

-- The headers of a request, as the client for sub-requests takes them.
local function copied(headers)
  local found = {}
  for name, values in pairs(headers) do
    if not NOT_COPIED[name] then
      local list = {}
      for place = 0, #values do
        if values[place] ~= nil then list[#list + 1] = values[place] end
      end
      found[name] = list
    end
  end
  return found
end

-- Adds lines of `name: value` to headers, in the place of what is there; an empty value takes a header away.
local function set_lines(headers, lines)
  for name, value in (lines or ""):gmatch("([^:\n]+): ?([^\n]*)") do
    headers[name:lower()] = value ~= "" and { value } or nil
  end
end

-- Asks a backend of this HAProxy, through the socket that only HAProxy may use.
local function ask(txn, backend, method, path, headers, body)
  headers["x-gen-backend"] = { backend }
  headers["x-gen-method"] = { method }
  local request = {
    url = "http://gen" .. path,
    dst = "unix@" .. txn:get_var("proc.inner"),
    headers = headers,
    body = body ~= "" and body or nil,
    timeout = TIMEOUT,
  }
  local client = core.httpclient()
  local done, answer
  if request.body then
    done, answer = pcall(client.post, client, request)
  else
    done, answer = pcall(client.get, client, request)
  end
  return done and answer or { status = 0, headers = {}, body = "" }
end

local function first(values)
  return values and (values[0] or values[1])
end

local ANSWERS = 10000 -- that are remembered, twice
local answers, older_answers, answer_count = {}, {}, 0

local function remembered_answer(key)
  local found = answers[key] or older_answers[key]
  return found and found.ends > core.now().sec and found or nil
end

-- Keeps what an answer says for as long as its status is valid, unless it is for one request alone.
local function remember_answer(txn, key, answer)
  local control = (first(answer.headers["cache-control"]) or ""):lower()
  local is_private = control:find("no%-store") or control:find("no%-cache") or control:find("private")
  if is_private or answer.headers["set-cookie"] then return end
  for status, seconds in (txn:get_var("txn.auth_valid") or ""):gmatch("(%d+)=(%d+)") do
    if tonumber(status) == answer.status then
      if answer_count >= ANSWERS then answers, older_answers, answer_count = {}, answers, 0 end
      answer_count = answer_count + 1
      answers[key] = { status = answer.status, headers = answer.headers, ends = core.now().sec + tonumber(seconds) }
      return
    end
  end
end

local function asked(txn, headers)
  local backend, method = txn:get_var("txn.auth_backend"), txn:get_var("txn.auth_method")
  local key = txn:get_var("txn.auth_key")
  key = key and txn.c:sha2(key, 256)
  local known = key and remembered_answer(key)
  if known then return known end
  local answer = ask(txn, backend, method, txn:get_var("txn.auth_path"), headers)
  if key then remember_answer(txn, key, answer) end
  return answer
end

core.register_action("authenticate", { "http-req" }, function(txn)
  local headers = copied(txn.http:req_get_headers())
  set_lines(headers, txn:get_var("txn.auth_headers"))
  headers["host"] = { txn:get_var("txn.auth_host") }
  local answer = asked(txn, headers)
  txn:set_var("txn.auth_status", answer.status)
  txn:set_var("txn.auth_challenge", first(answer.headers["www-authenticate"]))
  local cookies = answer.headers["set-cookie"] or {}
  local number = 0
  for place = 0, #cookies do
    if cookies[place] ~= nil then
      txn:set_var("txn.auth_cookie" .. number, cookies[place])
      number = number + 1
    end
  end
  if answer.status < 200 or answer.status > 299 then return end
  for name in (txn:get_var("txn.auth_copy") or ""):gmatch("[^,]+") do
    txn.http:req_del_header(name)
    local values = answer.headers[name:lower()] or {}
    for place = 0, #values do
      if values[place] ~= nil then txn.http:req_add_header(name, values[place]) end
    end
  end
end)

core.register_action("mirror", { "http-req" }, function(txn)
  local headers = copied(txn.http:req_get_headers())
  for _, name in ipairs(TOLD) do headers[name] = nil end
  headers["host"] = { txn:get_var("txn.mirror_host") }
  local backend, method = txn:get_var("txn.mirror_backend"), txn:get_var("txn.mirror_method")
  local path, body = txn:get_var("txn.mirror_path"), txn:get_var("txn.mirror_body") or ""
  core.register_task(function() ask(txn, backend, method, path, headers, body) end)
end)

-- Asks for the page of an error, and answers with it whatever it says.
local function error_page(txn)
  local headers = {}
  set_lines(headers, txn:get_var("txn.error_headers"))
  headers["x-code"] = { tostring(txn:get_var("txn.status")) }
  local backend = txn:get_var("txn.error_backend")
  local answer = { status = 404, headers = {}, body = "default backend - 404" }
  if backend and backend ~= "" then
    local path = txn:get_var("txn.error_path")
    answer = ask(txn, backend, txn:get_var("txn.error_method"), path, headers, txn:get_var("txn.error_body") or "")
  end
  if answer.status == 0 then answer.status = 502 end
  local reply = txn:reply({ status = answer.status })
  for name, values in pairs(answer.headers) do
    if not NOT_COPIED[name] then
      for place = 0, #values do
        if values[place] ~= nil then reply:add_header(name, values[place]) end
      end
    end
  end
  reply:set_body(answer.body or "")
  txn:done(reply)
end

core.register_action("error_page", { "http-req", "http-res" }, error_page)

-- ------------------------------------------------------------------ bodies that do not tell their size

local DISCARDED = 16 * 1024 * 1024 -- bytes that are read to no end
local BodyLimit = { id = "body_limit", flags = filter.FLT_CFG_FL_HTX }
BodyLimit.__index = BodyLimit

function BodyLimit:new()
  return setmetatable({}, BodyLimit)
end

function BodyLimit:http_headers(txn, message)
  if message.channel:is_resp() then return end
  local limit = txn:get_var("txn.body_limit")
  if limit and limit > 0 then
    self.left = limit
    filter.register_data_filter(self, message.channel)
  end
end

function BodyLimit:http_payload(txn, message)
  self.left = self.left - #(message:body() or "")
  if self.left < 0 then
    txn:set_var("txn.exceeded", true)
    message:remove() -- so that the client has sent all when the answer comes, and does not miss it
    if self.left > -DISCARDED and not message:eom() then return end
    error("a body larger than " .. txn:get_var("txn.body_limit") .. " bytes", 0)
  end
end

core.register_filter("body_limit", BodyLimit, function(class) return class end)

-- ------------------------------------------------------------------ how long the chains of clients' certificates are

local REMEMBERED = 50000 -- lengths of chains, twice: a session that is resumed has no chain
local PRESENTED = 20 -- certificates in a chain
local lengths, older, remembered = {}, {}, 0

-- The content of an element of DER, and where it begins and ends; raises an error for anything else.
local function element(der, place)
  local size, start = der:byte(place + 1), place + 2
  if size >= 0x80 then
    local digits = size - 0x80
    size = string.unpack(">I" .. digits, der, start)
    start = start + digits
  end
  if start + size - 1 > #der then error("short", 0) end
  return start, start + size - 1
end

-- Issuer and subject of each certificate of a chain.
local function names_of(c, chain)
  local found, place = {}, 1
  while place <= #chain do
    local inner, last = element(chain, place)
    local field = element(chain, inner)
    if chain:byte(field) == 0xA0 then field = select(2, element(chain, field)) + 1 end
    local places = {}
    for number = 1, 5 do -- serial number, algorithm, issuer, validity, subject
      local finish = select(2, element(chain, field))
      places[number] = chain:sub(field, finish)
      field = finish + 1
    end
    local function name(der) return c:hex(c:sha2(der, 256)):lower():sub(1, 16) end
    found[#found + 1] = { issuer = name(places[3]), subject = name(places[5]) }
    if #found > PRESENTED then error("long", 0) end
    place = last + 1
  end
  return found
end

-- The most authorities that may stand between a certificate and a root; raises an error where they go in circles.
local function longest(issuer, presented, heights, known)
  if known[issuer] == "asked" then error("circle", 0) end
  if known[issuer] then return known[issuer] end
  known[issuer] = "asked"
  local most = heights[issuer] or -math.huge
  for _, each in ipairs(presented) do
    if each.subject == issuer and each.issuer ~= issuer then
      most = math.max(most, 1 + longest(each.issuer, presented, heights, known))
    end
  end
  if most < 0 then error("no root", 0) end
  known[issuer] = most
  return most
end

-- nil where that cannot be known any more.  The chain that HAProxy gives has all that was presented but the leaf.
local function length_of(txn)
  if txn.f:ssl_fc_is_resumed() ~= 0 then return nil end
  local heights = {}
  for name, steps in (txn:get_var("txn.heights") or ""):gmatch("(%x+)=(%d+),") do heights[name] = tonumber(steps) end
  local done, length = pcall(function()
    local presented = names_of(txn.c, txn.f:ssl_c_chain_der() or "")
    local leaf = names_of(txn.c, txn.f:ssl_c_der())[1]
    return leaf.issuer == leaf.subject and 0 or longest(leaf.issuer, presented, heights, {})
  end)
  return done and length or math.huge
end

core.register_action("chain", { "http-req" }, function(txn)
  local key = txn:get_var("txn.chain")
  local length = length_of(txn)
  if length then
    if not lengths[key] then
      if remembered >= REMEMBERED then lengths, older, remembered = {}, lengths, 0 end
      remembered = remembered + 1
    end
    lengths[key] = length
  else
    length = lengths[key] or older[key] or math.huge
  end
  if length > tonumber(txn:get_var("txn.depth")) then txn:set_var("txn.too_deep", true) end
end)

-- ------------------------------------------------------------------ passwords that crypt(3) does not know

local DIGITS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

local function unhex(text)
  return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

-- Apache's variant of the MD5 of crypt.
local function apr1(md5, password, salt)
  local inner = md5(password .. salt .. password)
  local text = password .. "$apr1$" .. salt
  for left = #password, 1, -16 do text = text .. inner:sub(1, math.min(left, 16)) end
  local left = #password
  while left > 0 do
    text = text .. (left % 2 == 1 and "\0" or password:sub(1, 1))
    left = left // 2
  end
  local sum = md5(text)
  for round = 0, 999 do
    local odd = round % 2 == 1
    local mixed = odd and password or sum
    if round % 3 ~= 0 then mixed = mixed .. salt end
    if round % 7 ~= 0 then mixed = mixed .. password end
    sum = md5(mixed .. (odd and sum or password))
  end
  local found = {}
  local function digits(a, b, c, count)
    local value = (a << 16) | (b << 8) | c
    for _ = 1, count do
      found[#found + 1] = DIGITS:sub((value & 63) + 1, (value & 63) + 1)
      value = value >> 6
    end
  end
  local bytes = { sum:byte(1, 16) }
  for place = 1, 5 do digits(bytes[place], bytes[place + 6], bytes[place == 5 and 6 or place + 12], 4) end
  digits(0, 0, bytes[12], 2)
  return table.concat(found)
end

local function fits(c, known, password)
  if known:sub(1, 6) == "$apr1$" then
    local salt, hash = known:match("^%$apr1%$([^$]*)%$(.*)$")
    local function md5(text) return c:digest(text, "md5") end
    return apr1(md5, password, salt) == hash
  elseif known:sub(1, 5) == "{SHA}" then
    return c:base64(c:sha1(password)) == known:sub(6)
  elseif known:sub(1, 6) == "{SSHA}" then
    local digest = c:b64dec(known:sub(7))
    return #digest > 20 and c:sha1(password .. digest:sub(21)) == digest:sub(1, 20)
  elseif known:sub(1, 7) == "{PLAIN}" then
    return password == known:sub(8)
  end
  return false
end

core.register_action("password", { "http-req" }, function(txn)
  local known, password = txn:get_var("txn.password"), txn.f:http_auth_pass()
  txn:set_var("txn.password_fits", password ~= nil and fits(txn.c, unhex(known), password))
end)
