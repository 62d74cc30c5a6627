-- The target did not do it: try again later, without end. `stuck` is for people to see; it is still due.
read_facts()
local at = instant(now, agreed)
local lease = read_lease(id)
if not lease or (lease[STATE] ~= "r" and lease[STATE] ~= "s") then return { "superseded" } end
if at_place(lease, EPOCH) == epoch + 1 and at_place(lease, ERROR) == reason then return { "postponed" } end -- our own earlier call
if at_place(lease, EPOCH) ~= epoch then return { "superseded" } end
put(lease, EPOCH, epoch + 1)
put(lease, ATTEMPTS, at_place(lease, ATTEMPTS) + 1)
put(lease, ERROR, reason)
local was = lease[STATE]
if stuck == 1 then move(lease, "s") end
write_lease(id, lease)
redis.call("ZADD", P .. ":due", at + delay, id)
record(at, (stuck == 1 and was ~= "s") and '{"action":"lease.stuck","principal":"broker"}' or '{"action":"lease.postponed","principal":"broker"}',
  { lease = "lease_" .. id, task = "task_" .. lease[TASK], issuer = lease[ISSUER], attempts = lease[ATTEMPTS], reason = reason, next_at = at + delay })
save_facts()
return { "postponed" }
