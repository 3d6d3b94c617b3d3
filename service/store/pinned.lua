-- One state that a stream can go back to, pinned or one of its two snapshots.
-- After the shard: KEYS meta, log, snapshots; ARGV incarnation, position. Returns it, or nothing.
local meta, snapshots, position = KEYS[next_key], KEYS[next_key + 2], ARGV[next_arg + 1]
if redis.call('HGET', meta, 'incarnation') ~= ARGV[next_arg] then
  return {}
end
local state = redis.call('HGET', snapshots, 'pin:' .. position)
local known = redis.call('HMGET', snapshots, 'newest', 'older')
local newest = known[1]
if not state and newest and redis.call('HGET', meta, 'position') == position then
  state = redis.call('HGET', snapshots, newest)
elseif not state and newest and known[2] == position then
  state = redis.call('HGET', snapshots, newest == 'a' and 'b' or 'a')
end
return {state or nil}
