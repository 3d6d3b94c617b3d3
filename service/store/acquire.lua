-- Take shards over: from now on only writes that carry the new token go through.
-- KEYS: epoch and owner key of each shard; ARGV[1]: a name that no other owner has.
-- Returns the new epoch of each shard.
local epochs = {}
for i = 1, #KEYS, 2 do
  local epoch = redis.call('INCR', KEYS[i])
  redis.call('SET', KEYS[i + 1], string.format('%.0f', epoch) .. ':' .. ARGV[1])
  epochs[#epochs + 1] = epoch
end
return epochs
