-- Remove a stream, if it is still the one that is meant. After the shard: KEYS ids, meta, log, snapshots;
-- ARGV id, incarnation. Returns 1, or 0 where there is none or another one.
local ids, meta, log, snapshots = KEYS[next_key], KEYS[next_key + 1], KEYS[next_key + 2], KEYS[next_key + 3]
if redis.call('HGET', meta, 'incarnation') ~= ARGV[next_arg + 1] then
  return {0}
end
redis.call('ZREM', ids, ARGV[next_arg])
redis.call('UNLINK', meta, log, snapshots)
return {1}
