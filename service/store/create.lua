-- Make a stream. After the shard: KEYS ids, meta; ARGV id, meta. Returns 1, or 0 where the stream exists.
if redis.call('EXISTS', KEYS[next_key + 1]) == 1 then
  return {0}
end
redis.call('SET', KEYS[next_key + 1], ARGV[next_arg + 1])
redis.call('ZADD', KEYS[next_key], 0, ARGV[next_arg])
return {1}
