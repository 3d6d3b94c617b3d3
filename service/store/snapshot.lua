-- Store snapshots of many streams and shorten their logs.
-- After the shards, for each stream: KEYS meta, log, snapshots;
-- ARGV incarnation, position, the snapshot, the meta that goes with it ('' if it is as it was), and the generation that
-- the caller found unreadable ('' if none).
-- Returns for each stream: written | stale (a newer one is there) | ahead (of the log) | missing (there is no such
-- stream, or one of another incarnation).
--
-- Two generations are kept, and the log back to the older one: should the newest be unreadable one day, the older one
-- and a longer replay give the same state. The log keeps its last entry in any case, which carries the position.
local OTHER = {a = 'b', b = 'a'}
local outcomes, writes = {}, {}
while next_key <= #KEYS do
  local meta, log, snapshots = KEYS[next_key], KEYS[next_key + 1], KEYS[next_key + 2]
  local position, blob, unreadable = tonumber(ARGV[next_arg + 1]), ARGV[next_arg + 2], ARGV[next_arg + 4]
  local stream = redis.call('HMGET', meta, 'incarnation', 'position')
  local known = redis.call('HMGET', snapshots, 'newest', 'older')
  local newest, newest_position, older = known[1], tonumber(stream[2] or 0), tonumber(known[2] or 0)
  if newest and newest == unreadable then
    newest, newest_position, older = OTHER[newest], older, 0
  end
  local tail = tail_position(log, meta)
  local outcome = 'written'
  if stream[1] ~= ARGV[next_arg] then
    outcome = 'missing'
  elseif position > tail then
    outcome = 'ahead'
  elseif position < newest_position then
    outcome = 'stale'
  elseif position == newest_position and newest then
    writes[#writes + 1] = {meta, log, snapshots, newest, position, older, blob, tail, ARGV[next_arg + 3]}
  else
    local generation = newest and OTHER[newest] or 'a'
    writes[#writes + 1] = {meta, log, snapshots, generation, position, newest_position, blob, tail, ARGV[next_arg + 3]}
  end
  outcomes[#outcomes + 1] = outcome
  next_key, next_arg = next_key + 3, next_arg + 5
end

for _, write in ipairs(writes) do
  local meta, log, snapshots, generation, position, older, blob, tail, new_meta = unpack(write)
  redis.call('HSET', meta, 'position', string.format('%.0f', position))
  if new_meta ~= '' then
    redis.call('HSET', meta, 'meta', new_meta)
  end
  redis.call('HSET', snapshots, generation, blob, 'newest', generation, 'older', string.format('%.0f', older))
  redis.call('LTRIM', log, -math.max(1, tail - older), -1)
end
return outcomes
