-- Take shards over, all of them or none: from now on only calls that carry the new token go through.
-- KEYS epoch, owner and lease of each shard; ARGV the new owner's name, its lease in milliseconds, 1 to pass over every
-- lease, the number of owners that are known to be gone, their names, and for each shard the lowest epoch to give.
-- Returns the new epoch of each shard; or: held, the owner whose lease is alive, milliseconds that are left of it.
local name, lease_ms, by_force, num_gone = ARGV[1], ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])
local passed_over = {[name] = true}
for i = 5, 4 + num_gone do
  passed_over[ARGV[i]] = true
end

for i = 1, #KEYS, 3 do
  local holder = redis.call('GET', KEYS[i + 2])
  if holder and not by_force and not passed_over[holder] then
    return {'held', holder, redis.call('PTTL', KEYS[i + 2])}
  end
end

local epochs = {}
for i = 1, #KEYS, 3 do
  local lowest = tonumber(ARGV[5 + num_gone + #epochs])
  local epoch = math.max(tonumber(redis.call('GET', KEYS[i]) or 0) + 1, lowest)
  local written = string.format('%.0f', epoch)
  redis.call('SET', KEYS[i], written)
  redis.call('SET', KEYS[i + 1], written .. ':' .. name)
  redis.call('SET', KEYS[i + 2], name, 'PX', lease_ms)
  epochs[#epochs + 1] = epoch
end
return epochs
