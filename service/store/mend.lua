-- Give back to the store what it has lost of streams that are in our memory.
-- After the shards, for each stream: KEYS ids, meta, log, snapshots;
-- ARGV id, incarnation, meta, position, the snapshot at this position, the entry of this position ('' if not known).
-- Returns for each stream: mended | fine (it has all that) | replaced (what is there is not this stream, or not what we
-- know of it: left as it is).
local outcomes, writes = {}, {}
while next_key <= #KEYS do
  local meta, log = KEYS[next_key + 1], KEYS[next_key + 2]
  local position, entry = tonumber(ARGV[next_arg + 3]), ARGV[next_arg + 5]
  local incarnation = redis.call('HGET', meta, 'incarnation')
  local outcome = 'mended'
  if incarnation and incarnation ~= ARGV[next_arg + 1] then
    outcome = 'replaced'
  elseif incarnation then
    local tail = tail_position(log, meta)
    if tail >= position then
      -- Counted from the tail, -1 is the last entry. A snapshot may have cut this one already.
      local there = redis.call('LINDEX', log, string.format('%.0f', position - tail - 1))
      outcome = (entry ~= '' and there and there ~= entry) and 'replaced' or 'fine'
    end
  end
  if outcome == 'mended' then
    writes[#writes + 1] = {next_key, next_arg, incarnation}
  end
  outcomes[#outcomes + 1] = outcome
  next_key, next_arg = next_key + 4, next_arg + 6
end

for _, write in ipairs(writes) do
  local key, arg = write[1], write[2]
  local ids, meta, log, snapshots = KEYS[key], KEYS[key + 1], KEYS[key + 2], KEYS[key + 3]
  redis.call('HSET', meta, 'incarnation', ARGV[arg + 1], 'meta', ARGV[arg + 2], 'position', ARGV[arg + 3])
  redis.call('ZADD', ids, 0, ARGV[arg])
  redis.call('UNLINK', log)
  if write[3] then
    redis.call('HDEL', snapshots, 'b') -- what is pinned stays: it was the stream's, and still is
  else
    redis.call('UNLINK', snapshots)
  end
  if ARGV[arg + 5] ~= '' then
    redis.call('RPUSH', log, ARGV[arg + 5])
  end
  redis.call('HSET', snapshots, 'a', ARGV[arg + 4], 'newest', 'a', 'older', 0)
end
return outcomes
