-- Let the leases of the shards begin anew. After the shards: KEYS lease of each; ARGV the owner's name, milliseconds.
while next_key <= #KEYS do
  redis.call('SET', KEYS[next_key], ARGV[next_arg], 'PX', ARGV[next_arg + 1])
  next_key = next_key + 1
end
return {}
