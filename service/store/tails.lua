-- Where the logs of many streams end. After the shards, for each stream: KEYS meta, log, snapshots.
-- Returns for each stream its incarnation, or nothing where there is none, and the position of its last record.
local tails = {}
while next_key <= #KEYS do
  local incarnation = redis.call('HGET', KEYS[next_key], 'incarnation')
  tails[#tails + 1] = incarnation
  tails[#tails + 1] = incarnation and tail_position(KEYS[next_key + 1], KEYS[next_key + 2]) or 0
  next_key = next_key + 3
end
return tails
