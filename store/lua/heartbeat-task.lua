-- A sign of life. One that comes too late, or after the end, changes nothing.
read_facts()
local at = instant(now, agreed)
local task = read_task(id)
if not task then return { "unknown" } end
if task.state == "open" and task.heartbeatMs and task.expiresAt > at and task.heartbeatBy > at then
  task.heartbeatBy = at + task.heartbeatMs
  write_task(id, task)
  watch_task(id, task)
  save_facts()
end
return { "known", pack_task(task) }
