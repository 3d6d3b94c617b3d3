-- Append entries to the logs of many streams, each at a given position.
-- After the shards: ARGV 12 bytes for each stream, its first position and its number of entries; then for each stream:
-- KEYS meta, log; ARGV incarnation, the entries.
-- Returns for each stream two things. The outcome: appended | already (the same bytes are there) | mismatch | missing
-- (there is none, or one of another incarnation). And the position of its last record, 0 where it is missing.
--
-- A script that fails half way leaves what it wrote: so everything is decided first, and written only then.

-- Arguments of one RPUSH; Lua's stack has room for a few thousand.
local MAX_PUSHED = 1000

local outcomes, accepted = {}, {}
local heads, next_head = ARGV[next_arg], 1
next_arg = next_arg + 1
while next_key <= #KEYS do
  local meta, log = KEYS[next_key], KEYS[next_key + 1]
  local first, count
  first, count, next_head = struct.unpack('<I8I4', heads, next_head)
  local from = next_arg + 1
  local last = first + count - 1
  local outcome, tail = 'missing', 0
  if redis.call('HGET', meta, 'incarnation') == ARGV[next_arg] then
    outcome = 'mismatch'
    tail = tail_position(log, meta)
    if first == tail + 1 then
      outcome = 'appended'
      accepted[#accepted + 1] = log
      accepted[#accepted + 1] = from
      accepted[#accepted + 1] = from + count - 1
      tail = last
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
  outcomes[#outcomes + 1] = tail
  next_key, next_arg = next_key + 2, from + count
end

for i = 1, #accepted, 3 do
  local log, from, to = accepted[i], accepted[i + 1], accepted[i + 2]
  for start = from, to, MAX_PUSHED do
    redis.call('RPUSH', log, unpack(ARGV, start, math.min(start + MAX_PUSHED - 1, to)))
  end
end
return outcomes
