-- Let a pinned state of a stream go. After the shard: KEYS meta, log, snapshots; ARGV incarnation, position.
-- Returns 1, or 0 where there is none.
local meta, snapshots, position = KEYS[next_key], KEYS[next_key + 2], ARGV[next_arg + 1]
if redis.call('HGET', meta, 'incarnation') ~= ARGV[next_arg] then
  return {0}
end
redis.call('HDEL', snapshots, 'info:' .. position)
return {redis.call('HDEL', snapshots, 'pin:' .. position)}
