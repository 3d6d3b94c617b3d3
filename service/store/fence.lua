-- Begins every script that reads or writes streams: go on only if the caller owns every shard that it names.
-- KEYS[1..n] owner keys of the shards; ARGV[1] = n, ARGV[2..n+1] the caller's tokens for them.
-- Returns otherwise: fenced, which of the shards, the token that is there ('' where there is none).
local shards = tonumber(ARGV[1])
for i, token in ipairs(redis.call('MGET', unpack(KEYS, 1, shards))) do
  if token ~= ARGV[i + 1] then
    return {'fenced', i, token or ''}
  end
end
local next_key, next_arg = shards + 1, shards + 2

-- Position of the last record of a stream. An entry carries it from its 9th byte on (see codec.py). One that is too
-- short for that counts as lost, for it must not stop a call for many streams; then the newest snapshot's counts.
local function tail_position(log, meta)
  local tail = redis.call('LINDEX', log, -1)
  if tail and #tail >= 16 then
    return (struct.unpack('<I8', tail, 9))
  end
  return tonumber(redis.call('HGET', meta, 'position') or 0)
end

