-- A named operator closes a lease whose credential nobody could prove dead. Listed for ever.
read_facts()
local at = instant(now, agreed)
local lease = read_lease(id)
if not lease then return { "unknown" } end
if lease[STATE] == "d" or lease[STATE] == "f" then return { "ended", pack_lease(lease) } end
if lease[STATE] == "a" or lease[STATE] == "p" then finish(id, lease, at, "revoked") end
if lease[STATE] ~= "d" then
  put(lease, ERROR, reason)
  close(id, lease, at, "f", "forced")
end
write_closed(at)
record(at, said, { lease = "lease_" .. id, task = "task_" .. lease[TASK], reason = reason })
save_facts()
return { "ended", pack_lease(lease) }
