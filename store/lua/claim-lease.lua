-- Claims one lease that is being ended, for whoever wants to try at once.
read_facts()
local at = instant(now, agreed)
local lease = read_lease(id)
if not lease or (lease[STATE] ~= "r" and lease[STATE] ~= "s") then return { "nothing" } end
if awaits_issuer(id, lease, at) then return { "nothing" } end
put(lease, EPOCH, at_place(lease, EPOCH) + 1)
write_lease(id, lease)
redis.call("ZADD", P .. ":due", at + hide, id)
record(at, '{"action":"lease.claimed","principal":"broker"}', { lease = "lease_" .. id })
save_facts()
return { "claimed", pack_lease(lease) }
