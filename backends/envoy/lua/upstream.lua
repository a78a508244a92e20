-- What a request becomes for its upstream, after all that may refuse it.

-- Another Host.  The route puts the one that was sent, which it finds in the dynamic metadata, into X-Forwarded-Host.
local function rename(request, pieces)
  local made = text(request, pieces)
  tell(request.handle, "host", request.host)
  request.headers:replace(":authority", made ~= "" and made or request.host)
end

function envoy_on_request(handle)
  local asked, request = handle:filterContext(), request_of(handle)
  if not request then
    return
  end
  local host = asked:get("host")
  if host then
    rename(request, host)
  end
end
