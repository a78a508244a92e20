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

local LATER = [==[
-- Message digests, for passwords.  This text is constant.

local bit, ffi = require("bit"), require("ffi")
local band, bnot, bor, bxor, bswap = bit.band, bit.bnot, bit.bor, bit.bxor, bit.bswap
local lshift, rshift, rol, ror, tobit = bit.lshift, bit.rshift, bit.rol, bit.ror, bit.tobit
local byte, char, rep, sub = string.byte, string.char, string.rep, string.sub
local concat, floor = table.concat, math.floor

local function big_endian(number)
  return char(band(rshift(number, 24), 255), band(rshift(number, 16), 255), band(rshift(number, 8), 255), band(number, 255))
end

local function word(text, place)
  local a, b, c, d = byte(text, place, place + 3)
  return bor(lshift(a, 24), lshift(b, 16), lshift(c, 8), d)
end

-- The message with its padding, in blocks of so many bytes; `turn` puts the bytes of the length in their order.
local function padded(text, block, turn)
  local zeros = (block - 1 - block / 8 - #text) % block
  local length = big_endian(turn(#text * 8))
  local wide = block / 8 - 4
  if turn == bswap then
    return text .. "\128" .. rep("\0", zeros) .. length .. rep("\0", wide)
  end
  return text .. "\128" .. rep("\0", zeros + wide) .. length
end

-- ------------------------------------------------------------------ MD5

local MD5_SINES, MD5_TURNS = ffi.new("int32_t[64]"), ffi.new("int32_t[64]")
for step = 0, 63 do
  MD5_SINES[step] = tobit(floor(math.abs(math.sin(step + 1)) * 4294967296))
  MD5_TURNS[step] = ({7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21})[floor(step / 16) * 4 + step % 4 + 1]
end

local function md5(text)
  local message = padded(text, 64, bswap)
  local h0, h1, h2, h3 = 0x67452301, tobit(0xefcdab89), tobit(0x98badcfe), 0x10325476
  local words = ffi.new("int32_t[16]")
  for start = 1, #message, 64 do
    for place = 0, 15 do
      words[place] = bswap(word(message, start + 4 * place))
    end
    local a, b, c, d = h0, h1, h2, h3
    for step = 0, 63 do
      local mixed, place
      if step < 16 then
        mixed, place = bxor(d, band(b, bxor(c, d))), step
      elseif step < 32 then
        mixed, place = bxor(c, band(d, bxor(b, c))), band(5 * step + 1, 15)
      elseif step < 48 then
        mixed, place = bxor(b, c, d), band(3 * step + 5, 15)
      else
        mixed, place = bxor(c, bor(b, bnot(d))), band(7 * step, 15)
      end
      local sum = tobit(a + mixed + MD5_SINES[step] + words[place])
      a, d, c, b = d, c, b, tobit(b + rol(sum, MD5_TURNS[step]))
    end
    h0, h1, h2, h3 = tobit(h0 + a), tobit(h1 + b), tobit(h2 + c), tobit(h3 + d)
  end
  return big_endian(bswap(h0)) .. big_endian(bswap(h1)) .. big_endian(bswap(h2)) .. big_endian(bswap(h3))
end

-- ------------------------------------------------------------------ SHA-1

local function sha1(text)
  local message = padded(text, 64, tobit)
  local h0, h1, h2, h3, h4 = 0x67452301, tobit(0xefcdab89), tobit(0x98badcfe), 0x10325476, tobit(0xc3d2e1f0)
  local words = ffi.new("int32_t[80]")
  for start = 1, #message, 64 do
    for place = 0, 15 do
      words[place] = word(message, start + 4 * place)
    end
    for place = 16, 79 do
      words[place] = rol(bxor(words[place - 3], words[place - 8], words[place - 14], words[place - 16]), 1)
    end
    local a, b, c, d, e = h0, h1, h2, h3, h4
    for step = 0, 79 do
      local mixed, constant
      if step < 20 then
        mixed, constant = bxor(d, band(b, bxor(c, d))), 0x5a827999
      elseif step < 40 then
        mixed, constant = bxor(b, c, d), 0x6ed9eba1
      elseif step < 60 then
        mixed, constant = bor(band(b, c), band(d, bor(b, c))), 0x8f1bbcdc
      else
        mixed, constant = bxor(b, c, d), 0xca62c1d6
      end
      a, b, c, d, e = tobit(rol(a, 5) + mixed + e + tobit(constant) + words[step]), a, ror(b, 2), c, d
    end
    h0, h1, h2, h3, h4 = tobit(h0 + a), tobit(h1 + b), tobit(h2 + c), tobit(h3 + d), tobit(h4 + e)
  end
  return big_endian(h0) .. big_endian(h1) .. big_endian(h2) .. big_endian(h3) .. big_endian(h4)
end

-- ------------------------------------------------------------------ SHA-2: the constants of 32 bits begin those of 64

local TWO_TO_32 = 4294967296
local ROOTS = ffi.new("uint64_t[80]", {
  0x428a2f98d728ae22ULL, 0x7137449123ef65cdULL, 0xb5c0fbcfec4d3b2fULL, 0xe9b5dba58189dbbcULL,
  0x3956c25bf348b538ULL, 0x59f111f1b605d019ULL, 0x923f82a4af194f9bULL, 0xab1c5ed5da6d8118ULL,
  0xd807aa98a3030242ULL, 0x12835b0145706fbeULL, 0x243185be4ee4b28cULL, 0x550c7dc3d5ffb4e2ULL,
  0x72be5d74f27b896fULL, 0x80deb1fe3b1696b1ULL, 0x9bdc06a725c71235ULL, 0xc19bf174cf692694ULL,
  0xe49b69c19ef14ad2ULL, 0xefbe4786384f25e3ULL, 0x0fc19dc68b8cd5b5ULL, 0x240ca1cc77ac9c65ULL,
  0x2de92c6f592b0275ULL, 0x4a7484aa6ea6e483ULL, 0x5cb0a9dcbd41fbd4ULL, 0x76f988da831153b5ULL,
  0x983e5152ee66dfabULL, 0xa831c66d2db43210ULL, 0xb00327c898fb213fULL, 0xbf597fc7beef0ee4ULL,
  0xc6e00bf33da88fc2ULL, 0xd5a79147930aa725ULL, 0x06ca6351e003826fULL, 0x142929670a0e6e70ULL,
  0x27b70a8546d22ffcULL, 0x2e1b21385c26c926ULL, 0x4d2c6dfc5ac42aedULL, 0x53380d139d95b3dfULL,
  0x650a73548baf63deULL, 0x766a0abb3c77b2a8ULL, 0x81c2c92e47edaee6ULL, 0x92722c851482353bULL,
  0xa2bfe8a14cf10364ULL, 0xa81a664bbc423001ULL, 0xc24b8b70d0f89791ULL, 0xc76c51a30654be30ULL,
  0xd192e819d6ef5218ULL, 0xd69906245565a910ULL, 0xf40e35855771202aULL, 0x106aa07032bbd1b8ULL,
  0x19a4c116b8d2d0c8ULL, 0x1e376c085141ab53ULL, 0x2748774cdf8eeb99ULL, 0x34b0bcb5e19b48a8ULL,
  0x391c0cb3c5c95a63ULL, 0x4ed8aa4ae3418acbULL, 0x5b9cca4f7763e373ULL, 0x682e6ff3d6b2b8a3ULL,
  0x748f82ee5defb2fcULL, 0x78a5636f43172f60ULL, 0x84c87814a1f0ab72ULL, 0x8cc702081a6439ecULL,
  0x90befffa23631e28ULL, 0xa4506cebde82bde9ULL, 0xbef9a3f7b2c67915ULL, 0xc67178f2e372532bULL,
  0xca273eceea26619cULL, 0xd186b8c721c0c207ULL, 0xeada7dd6cde0eb1eULL, 0xf57d4f7fee6ed178ULL,
  0x06f067aa72176fbaULL, 0x0a637dc5a2c898a6ULL, 0x113f9804bef90daeULL, 0x1b710b35131c471bULL,
  0x28db77f523047d84ULL, 0x32caab7b40c72493ULL, 0x3c9ebe0a15c9bebcULL, 0x431d67c49c100d4cULL,
  0x4cc5d4becb3e42b6ULL, 0x597f299cfc657e2aULL, 0x5fcb6fab3ad6faecULL, 0x6c44198c4a475817ULL,
})
local SQUARE_ROOTS = {
  0x6a09e667f3bcc908ULL, 0xbb67ae8584caa73bULL, 0x3c6ef372fe94f82bULL, 0xa54ff53a5f1d36f1ULL,
  0x510e527fade682d1ULL, 0x9b05688c2b3e6c1fULL, 0x1f83d9abfb41bd6bULL, 0x5be0cd19137e2179ULL,
}

local function sha512(text)
  local message = padded(text, 128, tobit)
  local state, words, work = ffi.new("uint64_t[8]", SQUARE_ROOTS), ffi.new("uint64_t[80]"), ffi.new("uint64_t[8]")
  for start = 1, #message, 128 do
    for place = 0, 15 do
      local high, low = word(message, start + 8 * place), word(message, start + 8 * place + 4)
      words[place] = lshift(ffi.cast("uint64_t", high % TWO_TO_32), 32) + low % TWO_TO_32  -- no negative number is one
    end
    for place = 16, 79 do
      local x, y = words[place - 15], words[place - 2]
      words[place] = words[place - 16] + words[place - 7] + bxor(bxor(ror(x, 1), ror(x, 8)), rshift(x, 7))
        + bxor(bxor(ror(y, 19), ror(y, 61)), rshift(y, 6))
    end
    ffi.copy(work, state, 64)
    for step = 0, 79 do  -- the eight registers stay where they are, their names move: boxed numbers would be slow
      local a, b, c = band(-step, 7), band(1 - step, 7), band(2 - step, 7)
      local e, f, g, h = work[band(4 - step, 7)], work[band(5 - step, 7)], work[band(6 - step, 7)], band(7 - step, 7)
      local sum = work[h] + bxor(bxor(ror(e, 14), ror(e, 18)), ror(e, 41)) + bxor(g, band(e, bxor(f, g)))
        + ROOTS[step] + words[step]
      local d = band(3 - step, 7)
      work[d] = work[d] + sum
      work[h] = sum + bxor(bxor(ror(work[a], 28), ror(work[a], 34)), ror(work[a], 39))
        + bor(band(work[a], work[b]), band(work[c], bor(work[a], work[b])))
    end
    for place = 0, 7 do
      state[place] = state[place] + work[place]
    end
  end
  local made = {}
  for place = 0, 7 do
    made[#made + 1] = big_endian(tonumber(rshift(state[place], 32)))
    made[#made + 1] = big_endian(tonumber(band(state[place], 0xffffffffULL)))
  end
  return concat(made)
end

local function high(number)
  return tobit(tonumber(rshift(number, 32)))
end

local function sha256(text)
  local message = padded(text, 64, tobit)
  local state, words, roots = ffi.new("int32_t[8]"), ffi.new("int32_t[64]"), ffi.new("int32_t[64]")
  for place = 0, 7 do
    state[place] = high(SQUARE_ROOTS[place + 1])
  end
  for place = 0, 63 do
    roots[place] = high(ROOTS[place])
  end
  for start = 1, #message, 64 do
    for place = 0, 15 do
      words[place] = word(message, start + 4 * place)
    end
    for place = 16, 63 do
      local x, y = words[place - 15], words[place - 2]
      words[place] = tobit(words[place - 16] + words[place - 7] + bxor(ror(x, 7), ror(x, 18), rshift(x, 3))
        + bxor(ror(y, 17), ror(y, 19), rshift(y, 10)))
    end
    local a, b, c, d, e, f, g, h = state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7]
    for step = 0, 63 do
      local first = h + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + bxor(g, band(e, bxor(f, g))) + roots[step] + words[step]
      local second = bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + bor(band(a, b), band(c, bor(a, b)))
      h, g, f, e, d, c, b, a = g, f, e, tobit(d + first), c, b, a, tobit(first + second)
    end
    state[0], state[1], state[2], state[3] =
      tobit(state[0] + a), tobit(state[1] + b), tobit(state[2] + c), tobit(state[3] + d)
    state[4], state[5], state[6], state[7] =
      tobit(state[4] + e), tobit(state[5] + f), tobit(state[6] + g), tobit(state[7] + h)
  end
  local made = {}
  for place = 0, 7 do
    made[place + 1] = big_endian(state[place])
  end
  return concat(made)
end

-- Whether a password has a hash in one of the forms of htpasswd.  This text is constant; digests.lua comes before it.

local PI = ([[
243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89452821e638d01377be5466cf34e90c6cc0ac29b7c97c50dd
3f84d5b5b54709179216d5d98979fb1bd1310ba698dfb5ac2ffd72dbd01adfb7b8e1afed6a267e96ba7c9045f12c7f9924a19947b3916cf7
0801f2e2858efc16636920d871574e69a458fea3f4933d7e0d95748f728eb658718bcd5882154aee7b54a41dc25a59b59c30d5392af26013
c5d1b023286085f0ca417918b8db38ef8e79dcb0603a180e6c9e0e8bb01e8a3ed71577c1bd314b2778af2fda55605c60e65525f3aa55ab94
5748986263e8144055ca396a2aab10b6b4cc5c341141e8cea15486af7c72e993b3ee1411636fbc2a2ba9c55d741831f6ce5c3e169b87931e
afd6ba336c24cf5c7a325381289586773b8f48986b4bb9afc4bfe81b6628219361d809ccfb21a991487cac605dec8032ef845d5de98575b1
dc262302eb651b8823893e81d396acc50f6d6ff383f442392e0b4482a484200469c8f04a9e1f9b5e21c66842f6e96c9a670c9c61abd388f0
6a51a0d2d8542f68960fa728ab5133a36eef0b6c137a3be4ba3bf0507efb2a98a1f1651d39af017666ca593e82430e888cee8619456f9fb4
7d84a5c33b8b5ebee06f75d885c12073401a449f56c16aa64ed3aa62363f77061bfedf72429b023d37d0d724d00a1248db0fead349f1c09b
075372c980991b7b25d479d8f6e8def7e3fe501ab6794c3b976ce0bd04c006bac1a94fb6409f60c45e5c9ec2196a246368fb6faf3e6c53b5
1339b2eb3b52ec6f6dfc511f9b30952ccc814544af5ebd09bee3d004de334afd660f2807192e4bb3c0cba85745c8740fd20b5f39b9d3fbdb
5579c0bd1a60320ad6a100c6402c7279679f25fefb1fa3cc8ea5e9f8db3222f83c7516dffd616b152f501ec8ad0552ab323db5fafd238760
53317b483e00df829e5c57bbca6f8ca01a87562edf1769dbd542a8f6287effc3ac6732c68c4f5573695b27b0bbca58c8e1ffa35db8f011a0
10fa3d98fd2183b84afcb56c2dd1d35b9a53e479b6f84565d28e49bc4bfb9790e1ddf2daa4cb7e3362fb1341cee4c6e8ef20cada36774c01
d07e9efe2bf11fb495dbda4dae909198eaad8e716b93d5a0d08ed1d0afc725e08e3c5b2f8e7594b78ff6e2fbf2122b648888b812900df01c
4fad5ea0688fc31cd1cff191b3a8c1ad2f2f2218be0e1777ea752dfe8b021fa1e5a0cc0fb56f74e818acf3d6ce89e299b4a84fe0fd13e0b7
7cc43b81d2ada8d9165fa2668095770593cc7314211a1477e6ad206577b5fa86c75442f5fb9d35cfebcdaf0c7b3e89a0d6411bd3ae1e7e49
00250e2d2071b35e226800bb57b8e0af2464369bf009b91e5563911d59dfa6aa78c14389d95a537f207d5ba202e5b9c5832603766295cfa9
11c819684e734a41b3472dca7b14a94a1b5100529a532915d60f573fbc9bc6e42b60a47681e6740008ba6fb5571be91ff296ec6b2a0dd915
b6636521e7b9f9b6ff34052ec585566453b02d5da99f8fa108ba47996e85076a4b7a70e9b5b32944db75092ec4192623ad6ea6b049a7df7d
9cee60b88fedb266ecaa8c71699a17ff5664526cc2b19ee1193602a575094c29a0591340e4183a3e3f54989a5b429d656b8fe4d699f73fd6
a1d29c07efe830f54d2d38e6f0255dc14cdd20868470eb266382e9c6021ecc5e09686b3f3ebaefc93c9718146b6a70a1687f358452a0e286
b79c5305aa5007373e07841c7fdeae5c8e7d44ec5716f2b8b03ada37f0500c0df01c1f040200b3ffae0cf51a3cb574b225837a58dc0921bd
d19113f97ca92ff69432477322f547013ae5e58137c2dadcc8b576349af3dda7a94461460fd0030eecc8c73ea4751e41e238cd993bea0e2f
3280bba1183eb3314e548b384f6db9086f420d03f60a04bf2cb8129024977c795679b072bcaf89afde9a771fd9930810b38bae12dccf3f2e
5512721f2e6b7124501adde69f84cd877a5847187408da17bc9f9abce94b7d8cec7aec3adb851dfa63094366c464c3d2ef1c18473215d908
dd433b3724c2ba1612a14d432a65c45150940002133ae4dd71dff89e10314e5581ac77d65f11199b043556f1d7a3c76b3c11183b5924a509
f28fe6ed97f1fbfa9ebabf2c1e153c6e86e34570eae96fb1860e5e0a5a3e2ab3771fe71c4e3d06fa2965dcb999e71d0f803e89d65266c825
2e4cc9789c10b36ac6150eba94e2ea78a5fc3c531e0a2df4f2f74ea7361d2b3d1939260f19c279605223a708f71312b6ebadfe6eeac31f66
e3bc4595a67bc883b17f37d1018cff28c332ddefbe6c5aa56558218568ab9802eecea50fdb2f953b2aef7dad5b6e2f841521b62829076170
ecdd4775619f151013cca830eb61bd960334fe1eaa0363cfb5735c904c70a239d59e9e0bcbaade14eecc86bc60622ca79cab5cabb2f3846e
648b1eaf19bdf0caa02369b9655abb5040685a323c2ab4b3319ee9d5c021b8f79b540b19875fa09995f7997e623d7da8f837889a97e32d77
11ed935f166812810e358829c7e61fd696dedfa17858ba9957f584a51b2272639b83c3ff1ac24696cdb30aeb532e30548fd948e46dbc3128
58ebf2ef34c6ffeafe28ed61ee7c3c735d4a14d9e864b7e342105d14203e13e045eee2b6a3aaabeadb6c4f15facb4fd0c742f442ef6abbb5
654f3b1d41cd2105d81e799e86854dc7e44b476a3d816250cf62a1f25b8d2646fc8883a0c1c7b6a37f1524c369cb749247848a0b5692b285
095bbf00ad19489d1462b17423820e0058428d2a0c55f5ea1dadf43e233f70613372f0928d937e41d65fecf16c223bdb7cde3759cbee7460
4085f2a7ce77326ea607808419f8509ee8efd85561d99735a969a7aac50c06c25a04abfc800bcadc9e447a2ec3453484fdd567050e1e9ec9
db73dbd3105588cd675fda79e3674340c5c43465713e38d83d28f89ef16dff20153e21e78fb03d4ae6e39f2bdb83adf7e93d5a68948140f7
f64c261c94692934411520f77602d4f7bcf46b2ed4a20068d40824713320f46a43b7d4b7500061af1e39f62e9724454614214f74bf8b8840
4d95fc1d96b591af70f4ddd366a02f45bfbc09ec03bd97857fac6dd031cb850496eb27b355fd3941da2547e6abca0a9a28507825530429f4
0a2c86dae9b66dfb68dc1462d7486900680ec0a427a18dee4f3ffea2e887ad8cb58ce0067af4d6b6aace1e7cd3375fecce78a399406b2a42
20fe9e35d9f385b9ee39d7ab3b124e8b1dc9faf74b6d185626a36631eae397b23a6efa74dd5b43326841e7f7ca7820fbfb0af54ed8feb397
454056acba48952755533a3a20838d87fe6ba9b7d096954b55a867bca1159a58cca9296399e1db33a62a4a563f3125f95ef47e1c9029317c
fdf8e80204272f7080bb155c05282ce395c11548e4c66d2248c1133fc70f86dc07f9c9ee41041f0f404779a45d886e17325f51ebd59bc0d1
f2bcc18f41113564257b7834602a9c60dff8e8a31f636c1b0e12b4c202e1329eaf664fd1cad181156b2395e0333e92e13b240b62eebeb922
85b2a20ee6ba0d99de720c8c2da2f728d012784595b794fd647d0862e7ccf5f05449a36f877d48fac39dfd27f33e8d1e0a476341992eff74
3a6f6eabf4f8fd37a812dc60a1ebddf8991be14cdb6e6b0dc67b55106d672c372765d43bdcd0e804f1290dc7cc00ffa3b5390f92690fed0b
667b9ffbcedb7d9ca091cf0bd9155ea3bb132f88515bad247b9479bf763bd6eb37392eb3cc1159798026e297f42e312d6842ada7c66a2b3b
12754ccc782ef11c6a124237b79251e706a1bbe64bfb63501a6b101811caedfa3d25bdd8e2e1c3c9444216590a121386d90cec6ed5abea2a
64af674eda86a85fbebfe98864e4c3fe9dbc8057f0f7c08660787bf86003604dd1fd8346f6381fb07745ae04d736fccc83426b33f01eab71
b08041873c005e5f77a057bebde8ae2455464299bf582e614e58f48ff2ddfda2f474ef388789bdc25366f9c3c8b38e74b475f25546fcd9b9
7aeb26618b1ddf84846a0e79915f95e2466e598e20b457708cd55591c902de4cb90bace1bb8205d011a862487574a99eb77f19b6e0a9dc09
662d09a1c4324633e85a1f0209f0be8c4a99a0251d6efe101ab93d1d0ba5a4dfa186f20f2868f169dcb7da83573906fea1e2ce9b4fcd7f52
50115e01a70683faa002b5c40de6d0279af88c27773f8641c3604c0661a806b5f0177a28c0f586e0006058aa30dc7d6211e69ed72338ea63
53c2dd94c2c21634bbcbee5690bcb6deebfc7da1ce591d766f05e4094b7c018839720a3d7c927c2486e3725f724d9db91ac15bb4d39eb8fc
ed54557808fca5b5d83d7cd34dad0fc41e50ef5eb161e6f8a28514d96c51133c6fd5c7e756e14ec4362abfceddc6c837d79a323492638212
670efa8e406000e03a39ce37d3faf5cfabc277375ac52d1b5cb0679e4fa33742d382274099bc9bbed5118e9dbf0f7315d62d1c7ec700c47b
b78c1b6b21a19045b26eb1be6a366eb45748ab2fbc946e79c6a376d26549c2c8530ff8ee468dde7dd5730a1d4cd04dc62939bbdba9ba4650
ac9526e8be5ee304a1fad5f06a2d519a63ef8ce29a86ee22c089c2b843242ef6a51e03aa9cf2d0a483c061ba9be96a4d8fe51550ba645bd6
2826a2f9a73a3ae14ba99586ef5562e9c72fefd3f752f7da3f046f6977fa0a5980e4a91587b086019b09e6ad3b3ee593e990fd5a9e34d797
2cf0b7d9022b8b5196d5ac3a017da67dd1cf3ed67c7d2d281f9f25cfadf2b89b5ad6b4725a88f54ce029ac71e019a5e647b0acfded93fa9b
e8d3c48d283b57ccf8d5662979132e28785f0191ed756055f7960e44e3d35e8c15056dd488f46dba03a161250564f0bdc3eb9e153c9057a2
97271aeca93a072a1b3f6d9b1e6321f5f59c66fb26dcf3197533d928b155fdf5035634828aba3cbb28517711c20ad9f8abcc5167ccad925f
4de817513830dc8e379d58629320f991ea7a90c2fb3e7bce5121ce64774fbe32a8b6e37ec3293d4648de53696413e680a2ae0810dd6db224
69852dfd09072166b39a460a6445c0dd586cdecf1c20c8ae5bbef7dd1b588d40ccd2017f6bb4e3bbdda26a7e3a59ff453e350a44bcb4cdd5
72eacea8fa6484bb8d6612aebf3c6f47d29be463542f5d9eaec2771bf64e6370740e0d8de75b1357f8721671af537d5d4040cb084eb4e2cc
34d2466a0115af84e1b0042895983a1d06b89fb4ce6ea0486f3f3b823520ab82011a1d4b277227f8611560b1e7933fdcbb3a792b344525bd
a08839e151ce794b2f32c9b7a01fbac9e01cc87ebcc7d1f6cf0111c3a1e8aac71a908749d44fbd9ad0dadecbd50ada380339c32ac6913667
8df9317ce0b12b4ff79e59b743f5bb3af2d519ff27d9459cbf97222c15e6fc2a0f91fc719b941525fae59361ceb69cebc2a8645912baa8d1
b6c1075ee3056a0c10d25065cb03a442e0ec6e0e1698db3b4c98a0be3278e9649f1f9532e0d392dfd3a0342b8971f21e1b0a74414ba3348c
c5be7120c37632d8df359f8d9b992f2ee60b6f470fe3f11de54cda541edad891ce6279cfcd3e7e6f1618b166fd2c1d05848fd2c5f6fb2299
f523f357a632762393a8353156cccd02acf081625a75ebb56e16369788d273ccde96629281b949d04c50901b71c65614e6c6c7bd327a140a
45e1d006c3f27b9ac9aa53fd62a80f00bb25bfe235bdd2f671126905b2040222b6cbcf7ccd769c2b53113ec01640e3d338abbd602547adf0
ba38209cf746ce7677afa1c52075606085cbfe4e8ae88dd87aaaf9b04cf9aa7e1948c25c02fb8a8c01c36ae4d6ebe1f990d4f869a65cdea0
3f09252dc208e69fb74e6132ce77e25b578fdfe33ac372e6
]]):gsub("%s", "")
local CRYPT_SIGNS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
local BCRYPT_SIGNS = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
local BASE64_SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function values_of(signs)
  local values = {}
  for place = 1, 64 do
    values[byte(signs, place)] = place - 1
  end
  return values
end

local BCRYPT_VALUES, BASE64_VALUES = values_of(BCRYPT_SIGNS), values_of(BASE64_SIGNS)

-- Text of six bits a sign, the first bits first; what is no sign ends it.
local function unpacked(text, values)
  local made, bits, count = {}, 0, 0
  for place = 1, #text do
    local value = values[byte(text, place)]
    if not value then
      break
    end
    bits, count = bor(lshift(band(bits, 0xffff), 6), value), count + 6
    if count >= 8 then
      count = count - 8
      made[#made + 1] = char(band(rshift(bits, count), 255))
    end
  end
  return concat(made)
end

local function crypt_signs(a, b, c, count)
  local bits, made = a * 65536 + b * 256 + c, {}
  for place = 1, count do
    made[place] = sub(CRYPT_SIGNS, bits % 64 + 1, bits % 64 + 1)
    bits = floor(bits / 64)
  end
  return concat(made)
end

local function repeated(text, length)
  return sub(rep(text, math.ceil(length / #text)), 1, length)
end

-- ------------------------------------------------------------------ $1$ and $apr1$

local function md5_crypt(password, magic, salt)
  local text = password .. magic .. salt .. repeated(md5(password .. salt .. password), #password)
  local rest = #password
  while rest > 0 do
    text = text .. (rest % 2 == 1 and "\0" or sub(password, 1, 1))
    rest = floor(rest / 2)
  end
  local last = md5(text)
  for round = 0, 999 do
    local is_odd = round % 2 == 1
    text = (is_odd and password or last) .. (round % 3 > 0 and salt or "") .. (round % 7 > 0 and password or "")
    last = md5(text .. (is_odd and last or password))
  end
  local made = {}
  for place = 1, 5 do
    local third = place == 5 and 6 or place + 12
    made[place] = crypt_signs(byte(last, place), byte(last, place + 6), byte(last, third), 4)
  end
  return concat(made) .. crypt_signs(0, 0, byte(last, 12), 2)
end

-- ------------------------------------------------------------------ $5$ and $6$

local function sha_crypt(digest, password, salt, rounds)
  local inner = digest(password .. salt .. password)
  local text = password .. salt .. repeated(inner, #password)
  local rest = #password
  while rest > 0 do
    text = text .. (rest % 2 == 1 and inner or password)
    rest = floor(rest / 2)
  end
  local last = digest(text)
  local password_part = repeated(digest(rep(password, #password)), #password)
  local salt_part = repeated(digest(rep(salt, 16 + byte(last, 1))), #salt)
  for round = 0, rounds - 1 do
    local is_odd = round % 2 == 1
    text = (is_odd and password_part or last) .. (round % 3 > 0 and salt_part or "")
    last = digest(text .. (round % 7 > 0 and password_part or "") .. (is_odd and last or password_part))
  end
  return last
end

-- The signs of the digest: triples of bytes a third apart, each one turned once more than the one before.
local function sha_signs(last, step)
  local third = floor(#last / 3)
  local made = {}
  for place = 0, third - 1 do
    local bytes = {byte(last, place + 1), byte(last, place + third + 1), byte(last, place + 2 * third + 1)}
    local turn = place * step % 3
    made[place + 1] = crypt_signs(bytes[turn + 1], bytes[(turn + 1) % 3 + 1], bytes[(turn + 2) % 3 + 1], 4)
  end
  if #last == 64 then
    return concat(made) .. crypt_signs(0, 0, byte(last, 64), 2)
  end
  return concat(made) .. crypt_signs(0, byte(last, 32), byte(last, 31), 3)
end

local function sha_fits(digest, step, password, rest)
  local rounds, salt, known = rest:match("^rounds=(%d+)%$([^$]*)%$(.+)$")
  if not rounds then
    salt, known = rest:match("^([^$]*)%$(.+)$")
  end
  rounds = rounds and math.max(tonumber(rounds), 1000) or 5000
  return salt ~= nil and sha_signs(sha_crypt(digest, password, sub(salt, 1, 16), rounds), step) == known
end

-- ------------------------------------------------------------------ $2a$, $2b$ and $2y$

-- Blowfish: 18 subkeys, then four boxes of 256.
local FRESH, NO_SALT = ffi.new("int32_t[1042]"), ffi.new("int32_t[4]")
for place = 0, 1041 do
  FRESH[place] = tobit(tonumber(sub(PI, 8 * place + 1, 8 * place + 8), 16))
end

local function encipher(state, left, right)
  for round = 0, 14, 2 do
    left = bxor(left, state[round])
    right = bxor(right, state[round + 1], tobit(bxor(tobit(state[18 + rshift(left, 24)]
      + state[274 + band(rshift(left, 16), 255)]), state[530 + band(rshift(left, 8), 255)]) + state[786 + band(left, 255)]))
    left = bxor(left, tobit(bxor(tobit(state[18 + rshift(right, 24)] + state[274 + band(rshift(right, 16), 255)]),
      state[530 + band(rshift(right, 8), 255)]) + state[786 + band(right, 255)]))
  end
  return bxor(right, state[17]), bxor(left, state[16])
end

local function expand(state, key, salt)
  for place = 0, 17 do
    state[place] = bxor(state[place], key[place])
  end
  local left, right = 0, 0
  for place = 0, 1040, 2 do
    left, right = encipher(state, bxor(left, salt[place % 4]), bxor(right, salt[place % 4 + 1]))
    state[place], state[place + 1] = left, right
  end
end

local function bcrypt(password, cost, salt)
  local state, key = ffi.new("int32_t[1042]"), ffi.new("int32_t[18]")
  local once, repeatedly = ffi.new("int32_t[4]"), ffi.new("int32_t[18]")
  local text = repeated(password .. "\0", 72)
  for place = 0, 17 do
    key[place], repeatedly[place] = word(text, 4 * place + 1), word(salt, 4 * (place % 4) + 1)
  end
  for place = 0, 3 do
    once[place] = repeatedly[place]
  end
  ffi.copy(state, FRESH, ffi.sizeof(FRESH))
  expand(state, key, once)
  for _ = 1, 2 ^ cost do
    expand(state, key, NO_SALT)
    expand(state, repeatedly, NO_SALT)
  end
  local made = {}
  for place = 1, 24, 8 do
    local left, right = word("OrpheanBeholderScryDoubt", place), word("OrpheanBeholderScryDoubt", place + 4)
    for _ = 1, 64 do
      left, right = encipher(state, left, right)
    end
    made[#made + 1] = big_endian(left) .. big_endian(right)
  end
  return sub(concat(made), 1, 23)
end

local function bcrypt_fits(password, rest)
  local cost, salt, known = rest:match("^(%d%d)%$(......................)(.+)$")
  return cost ~= nil and bcrypt(password, tonumber(cost), unpacked(salt, BCRYPT_VALUES)) == unpacked(known, BCRYPT_VALUES)
end

-- ------------------------------------------------------------------ all of them

local function md5_fits(magic, password, rest)
  local salt, known = rest:match("^([^$]*)%$(.+)$")
  salt = salt and sub(salt, 1, 8)
  return salt ~= nil and md5_crypt(password, magic, salt) == known
end

local FORMS = {
  {"$apr1$", function(password, rest) return md5_fits("$apr1$", password, rest) end},
  {"$1$", function(password, rest) return md5_fits("$1$", password, rest) end},
  {"$2a$", bcrypt_fits},
  {"$2b$", bcrypt_fits},
  {"$2y$", bcrypt_fits},
  {"$5$", function(password, rest) return sha_fits(sha256, 2, password, rest) end},
  {"$6$", function(password, rest) return sha_fits(sha512, 1, password, rest) end},
  {"{SHA}", function(password, rest) return sha1(password) == unpacked(rest, BASE64_VALUES) end},
  {"{SSHA}", function(password, rest)
    local known = unpacked(rest, BASE64_VALUES)
    return sha1(password .. sub(known, 21)) == sub(known, 1, 20)
  end},
  {"{PLAIN}", function(password, rest) return password == rest end},
}

-- Whether a password is the one of a hash; an unknown form fits none.
local function password_fits(password, known)
  for _, form in ipairs(FORMS) do
    local prefix, fits = form[1], form[2]
    if sub(known, 1, #prefix) == prefix then
      return fits(password, sub(known, #prefix + 1))
    end
  end
  return false
end

return {fits = password_fits, digest = sha256, decoded = function(text) return unpacked(text, BASE64_VALUES) end}
]==]

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
