-- Give up the leases of those shards that are still ours. KEYS owner and lease of each shard; ARGV our token for each.
for i = 1, #KEYS, 2 do
  if redis.call('GET', KEYS[i]) == ARGV[(i + 1) / 2] then
    redis.call('DEL', KEYS[i + 1])
  end
end
return {}
