-- Numbers by chance: every worker runs a script by itself, and would count from the same number.

local noise = io.open("/dev/urandom", "rb")
local seed = 0
for _ = 1, 6 do
  seed = seed * 256 + byte(noise:read(1))
end
noise:close()
math.randomseed(seed)

local function identifier()
  return format("%08x%08x%08x%08x", random(0, 0xffffffff), random(0, 0xffffffff), random(0, 0xffffffff),
    random(0, 0xffffffff))
end
