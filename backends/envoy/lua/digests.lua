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
