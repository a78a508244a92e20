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
