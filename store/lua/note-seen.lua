-- What instances of a verifier say that they have applied: `notes` is a list of [instance, at, max staleness, position]. An empty
-- position only says that the instance was heard of. At most `max` instances: a new one takes the place of one that is gone for
-- good, or is refused. Answers the refused.
local key = P .. ":seen:" .. verifier
local refused = {}

local function make_room()
  if redis.call("HLEN", key) < max then return true end
  local all = redis.call("HGETALL", key)
  local oldest, oldest_at
  for i = 1, #all, 2 do
    local known = cjson.decode(all[i + 1])
    if known[1] < now - keep then
      redis.call("HDEL", key, all[i])
    elseif known[1] + known[2] + 60000 < now and (not oldest or known[1] < oldest_at) then
      oldest, oldest_at = all[i], known[1]
    end
  end
  if redis.call("HLEN", key) < max then return true end
  if not oldest then return false end
  redis.call("HDEL", key, oldest)
  return true
end

for _, note in ipairs(cjson.decode(notes)) do
  local instance, at, stale, position = note[1], note[2], note[3], note[4]
  local text = redis.call("HGET", key, instance)
  local known = text and cjson.decode(text) or nil
  if known or make_room() then
    local acked = at
    if known then
      if position == "" then position, acked = known[3], known[4] end
      -- The same position again says nothing new: it was applied when that was first said.
      if position == known[3] then acked = math.min(acked, known[4]) end
      at = math.max(at, known[1])
    end
    redis.call("HSET", key, instance, cjson.encode({ at, stale, position, acked }))
  else
    refused[#refused + 1] = instance
  end
end
redis.call("PEXPIRE", key, keep)
return refused
