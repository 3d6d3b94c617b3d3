-- Make a stream. After the shard: KEYS ids, meta, log, snapshots; ARGV id, incarnation, meta.
-- Returns 1, or 0 where the stream exists.
local ids, meta, log, snapshots = KEYS[next_key], KEYS[next_key + 1], KEYS[next_key + 2], KEYS[next_key + 3]
if redis.call('EXISTS', meta) == 1 then
  return {0}
end
-- Nothing should be there; a store that came back with half of a stream must not give that half to a new one.
redis.call('UNLINK', log, snapshots)
redis.call('HSET', meta, 'incarnation', ARGV[next_arg + 1], 'meta', ARGV[next_arg + 2])
redis.call('ZADD', ids, 0, ARGV[next_arg])
return {1}
