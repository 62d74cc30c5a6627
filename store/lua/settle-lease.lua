-- The target has proved absence: revoked, out of the due set. A claim of another epoch changes nothing.
read_facts()
local at = instant(now, agreed)
local lease = read_lease(id)
if not lease then return { "superseded" } end
if lease[STATE] == "d" then return { "settled" } end
if (lease[STATE] ~= "r" and lease[STATE] ~= "s") or at_place(lease, EPOCH) ~= epoch then return { "superseded" } end
close(id, lease, at, "d", how)
write_closed(at)
record(at, '{"action":"lease.ended","principal":"broker"}',
  { lease = "lease_" .. id, task = "task_" .. lease[TASK], issuer = lease[ISSUER], ended_by = lease[ENDED_BY], outcome = how, took_ms = at - lease[ENDED] })
save_facts()
return { "settled" }
