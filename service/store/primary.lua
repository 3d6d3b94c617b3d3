-- Begins every script that only reads: a replica must not answer it, for what it holds may be old, its tokens too.
-- It would carry out the script but no write in it, not even one that changes nothing, as this one.
-- A primary may refuse writes as well, when its disk is full, and can be read all the same.
local refused = redis.pcall('PERSIST', KEYS[1])
if type(refused) == 'table' and string.find(refused.err, 'READONLY', 1, true) then
  return redis.error_reply('READONLY this server is a replica')
end

