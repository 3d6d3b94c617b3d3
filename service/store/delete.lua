-- Remove a stream. After the shard: KEYS ids, meta, log, snapshots; ARGV id. Returns 1, or 0 where there was none.
redis.call('ZREM', KEYS[next_key], ARGV[next_arg])
local existed = redis.call('DEL', KEYS[next_key + 1])
redis.call('UNLINK', KEYS[next_key + 2], KEYS[next_key + 3])
return {existed}
