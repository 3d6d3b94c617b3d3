-- Keep a state of a stream until it is let go. After the shard: KEYS meta, log, snapshots;
-- ARGV incarnation, position, the state, what is told of it in a listing, how many a stream may keep.
-- Returns pinned (also where it was already) | full | missing (there is no such stream, or one of another incarnation).
local meta, snapshots = KEYS[next_key], KEYS[next_key + 2]
local position = ARGV[next_arg + 1]
if redis.call('HGET', meta, 'incarnation') ~= ARGV[next_arg] then
  return {'missing'}
end
if redis.call('HEXISTS', snapshots, 'pin:' .. position) == 1 then
  return {'pinned'}
end
local kept = 0
for _, field in ipairs(redis.call('HKEYS', snapshots)) do
  if string.sub(field, 1, 4) == 'pin:' then
    kept = kept + 1
  end
end
if kept >= tonumber(ARGV[next_arg + 4]) then
  return {'full'}
end
redis.call('HSET', snapshots, 'pin:' .. position, ARGV[next_arg + 2], 'info:' .. position, ARGV[next_arg + 3])
return {'pinned'}
