-- Whoever claimed it could not work on it, and says so before the claim lapses: due again at once. A claim of another epoch stands.
read_facts()
local at = instant(now, agreed)
local lease = read_lease(id)
if not lease or (lease[STATE] ~= "r" and lease[STATE] ~= "s") or at_place(lease, EPOCH) ~= epoch then return { "superseded" } end
redis.call("ZADD", P .. ":due", at, id)
save_facts()
return { "given_back" }
