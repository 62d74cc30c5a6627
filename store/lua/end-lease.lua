-- Ends one lease. Ending twice is success and changes nothing.
read_facts()
local at = instant(now, agreed)
local lease = read_lease(id)
if not lease then return { "unknown" } end
local ended_now = 0
if finish(id, lease, at, by) then
  write_closed(at)
  record(at, said, { lease = "lease_" .. id, task = "task_" .. lease[TASK], ended_by = by, state = lease[STATE] == "d" and "revoked" or "revoking" })
  save_facts()
  ended_now = 1
elseif by == "issue_failed" and lease[STATE] == "r" and awaits_issuer(id, lease, at) then
  redis.call("ZADD", P .. ":due", at, id)
end
return { "ended", redis.call("GET", lease_key(id)), ended_now }
