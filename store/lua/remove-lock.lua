-- Takes a lock away; others of the same scope stay in force.
read_facts()
local at = instant(now, agreed)
local held, kept = redis.call("HGET", P .. ":locks", scope), {}
for _, lock in ipairs(held and cjson.decode(held) or {}) do
  if lock.id ~= id then kept[#kept + 1] = lock end
end
if #kept > 0 then
  redis.call("HSET", P .. ":locks", scope, cjson.encode(kept))
elseif held then
  redis.call("HDEL", P .. ":locks", scope)
end
set_fact("locks", redis.call("HLEN", P .. ":locks"))
if said ~= "" then record(at, said, nil) end
save_facts()
return 1
