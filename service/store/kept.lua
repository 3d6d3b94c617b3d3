-- All states of a stream that it can go back to. After the shard: KEYS meta, log, snapshots; ARGV incarnation.
-- Returns position, what is told of it, '' for each that is pinned; position, '', the state for each of the two
-- snapshots.
local meta, snapshots = KEYS[next_key], KEYS[next_key + 2]
local found = {}
if redis.call('HGET', meta, 'incarnation') ~= ARGV[next_arg] then
  return found
end
for _, field in ipairs(redis.call('HKEYS', snapshots)) do
  if string.sub(field, 1, 5) == 'info:' then
    found[#found + 1] = string.sub(field, 6)
    found[#found + 1] = redis.call('HGET', snapshots, field)
    found[#found + 1] = ''
  end
end
local known = redis.call('HMGET', snapshots, 'newest', 'older')
local newest, position, older = known[1], redis.call('HGET', meta, 'position'), known[2]
if newest then
  local generations = {{newest, position}, {newest == 'a' and 'b' or 'a', older}}
  for _, generation in ipairs(generations) do
    local state = redis.call('HGET', snapshots, generation[1])
    if state then
      found[#found + 1] = generation[2]
      found[#found + 1] = ''
      found[#found + 1] = state
    end
  end
end
return found
