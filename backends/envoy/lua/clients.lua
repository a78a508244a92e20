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
