-- pending -> active. A lease that has ended meanwhile stays ended: whoever made the credential revokes it; should that fail, the handle
-- is there for whoever tries next.
read_facts()
local at = instant(now, agreed)
local lease = read_lease(id)
if not lease then return { "already_ended" } end
if lease[STATE] == "a" then return { "activated" } end
if lease[STATE] == "r" or lease[STATE] == "s" then
  if at_place(lease, HANDLE) == "" then
    put(lease, HANDLE, handle)
    put(lease, NAME, name)
    write_lease(id, lease)
    if awaits_issuer(id, lease, at) then redis.call("ZADD", P .. ":due", at, id) end
  end
  return { "already_ended" }
end
if lease[STATE] ~= "p" then return { "already_ended" } end
local task = read_task(lease[TASK])
if marked(lease) or not task or task.state ~= "open" or lease[EXPIRES] <= at or at >= issued_by(lease) then
  put(lease, HANDLE, handle)
  put(lease, NAME, name)
  finish(id, lease, at, "issue_failed")
  write_closed(at)
  record(at, ended, { lease = "lease_" .. id })
  save_facts()
  return { "already_ended" }
end
move(lease, "a")
put(lease, HANDLE, handle)
put(lease, NAME, name)
write_lease(id, lease)
redis.call("ZADD", P .. ":due", lease[EXPIRES], id)
record(at, said, { lease = "lease_" .. id, task = "task_" .. lease[TASK] })
save_facts()
return { "activated" }
