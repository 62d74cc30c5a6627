-- Refuses new leases over a scope until an instant; a longer or later lock of the same scope replaces this one.
read_facts()
local at = instant(now, agreed)
redis.call("HSET", P .. ":locks", scope, body)
set_fact("locks", redis.call("HLEN", P .. ":locks"))
if said ~= "" then record(at, said, nil) end
save_facts()
return 1
