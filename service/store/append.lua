-- Append entries to the logs of many streams, each at a given position.
-- After the shards, for each stream: KEYS meta, log, snapshots; ARGV first position, number of entries, the entries.
-- Returns for each stream: appended | already (the same bytes are there) | mismatch | missing.
--
-- A script that fails half way leaves what it wrote: so everything is decided first, and written only then.
local outcomes, accepted = {}, {}
while next_key <= #KEYS do
  local meta, log, snapshots = KEYS[next_key], KEYS[next_key + 1], KEYS[next_key + 2]
  local first, count = tonumber(ARGV[next_arg]), tonumber(ARGV[next_arg + 1])
  local from = next_arg + 2
  local last = first + count - 1
  local outcome = 'mismatch'
  if redis.call('EXISTS', meta) == 0 then
    outcome = 'missing'
  else
    local tail = tail_position(log, snapshots)
    if first == tail + 1 then
      outcome = 'appended'
      accepted[#accepted + 1] = {log, from, count}
    elseif last <= tail then
      -- Counted from the tail, -1 is the last entry.
      local present = redis.call('LRANGE', log, first - tail - 1, last - tail - 1)
      local same = #present == count
      for i = 1, #present do
        same = same and present[i] == ARGV[from + i - 1]
      end
      if same then
        outcome = 'already'
      end
    end
  end
  outcomes[#outcomes + 1] = outcome
  next_key, next_arg = next_key + 3, from + count
end

for _, append in ipairs(accepted) do
  for i = append[2], append[2] + append[3] - 1 do
    redis.call('RPUSH', append[1], ARGV[i])
  end
end
return outcomes
