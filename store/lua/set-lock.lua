-- Refuses new leases over a scope until an instant, beside the locks that the scope has already.
read_facts()
local at = instant(now, agreed)
local lock = cjson.decode(body)
local held, kept = redis.call("HGET", P .. ":locks", scope), { lock }
for _, other in ipairs(held and cjson.decode(held) or {}) do
  if other.id ~= lock.id and other["until"] > at then kept[#kept + 1] = other end
end
redis.call("HSET", P .. ":locks", scope, cjson.encode(kept))
set_fact("locks", redis.call("HLEN", P .. ":locks"))
if said ~= "" then record(at, said, nil) end
save_facts()
return 1
