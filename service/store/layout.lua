-- Lay the store out where it is not yet. KEYS layout; ARGV version, number of shards, store id.
-- Returns what stands there now, in the same order.
redis.call('HSETNX', KEYS[1], 'version', ARGV[1])
redis.call('HSETNX', KEYS[1], 'num_shards', ARGV[2])
redis.call('HSETNX', KEYS[1], 'store_id', ARGV[3])
return redis.call('HMGET', KEYS[1], 'version', 'num_shards', 'store_id')
