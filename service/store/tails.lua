-- Where the logs of many streams end. After the shards, for each stream: KEYS meta, log.
-- Returns for each stream its incarnation, or nothing where there is none, and the position of its last record.
local tails = {}
while next_key <= #KEYS do
  local meta, log = KEYS[next_key], KEYS[next_key + 1]
  local incarnation = redis.call('HGET', meta, 'incarnation')
  tails[#tails + 1] = incarnation
  tails[#tails + 1] = incarnation and tail_position(log, meta) or 0
  next_key = next_key + 2
end
return tails
