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
