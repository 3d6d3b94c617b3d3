-- Let the leases of the shards begin anew. After the shards: KEYS lease of each; ARGV the owner's name, milliseconds.
-- A server whose memory is full still prolongs what is there, but takes no new key.
while next_key <= #KEYS do
  if redis.call('PEXPIRE', KEYS[next_key], ARGV[next_arg + 1]) == 0 then
    redis.call('SET', KEYS[next_key], ARGV[next_arg], 'PX', ARGV[next_arg + 1])
  end
  next_key = next_key + 1
end
return {}
