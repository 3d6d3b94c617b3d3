-- Read streams: a snapshot of each, and the log after it. After the shards, for each stream: KEYS meta, log, snapshots;
-- ARGV newest | older (the snapshot before that one).
-- Returns for each stream nothing where there is none, or:
-- incarnation, meta, generation of the newest snapshot, the snapshot asked for, the entries after it.
-- The last entry is among them in any case: how many there are is its word, and the caller can check it.
local OTHER = {a = 'b', b = 'a'}
local streams = {}
while next_key <= #KEYS do
  local meta, log, snapshots = KEYS[next_key], KEYS[next_key + 1], KEYS[next_key + 2]
  local stream = redis.call('HMGET', meta, 'incarnation', 'meta', 'position')
  if not stream[1] then
    stream = false
  else
    local known = redis.call('HMGET', snapshots, 'newest', 'older')
    local newest = known[1]
    local generation, position = newest, stream[3]
    if ARGV[next_arg] == 'older' then
      generation, position = OTHER[newest], known[2]
    end
    local snapshot = generation and redis.call('HGET', snapshots, generation)
    local entries = tail_position(log, meta) - (snapshot and tonumber(position) or 0)
    stream[3], stream[4] = newest, snapshot or false
    stream[5] = redis.call('LRANGE', log, string.format('%.0f', -math.max(1, entries)), -1)
  end
  streams[#streams + 1] = stream
  next_key, next_arg = next_key + 3, next_arg + 1
end
return streams
