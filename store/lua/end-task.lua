-- Ends a task: from the first call on nothing can be opened under it. Ends up to about a hundred of its leases a call; the task
-- stays in the due set until the caller has also ended its children and says so (finish-task), `hide` behind now. `with_parent` 1: its
-- own clock is not asked. Replies with the task, where to go on ("" at the end), whether it has children, and leases that need a call.
read_facts()
local at = instant(now, agreed)
local task = read_task(id)
if not task then
  redis.call("ZREM", P .. ":tdue", id) -- taken away by hand or by another life; its leases have due times of their own
  return { "unknown" }
end
if task.state == "open" then
  local early = (by == "deadline" and task.expiresAt > at) or (by == "heartbeat" and (not task.heartbeatBy or task.heartbeatBy > at))
  if early and with_parent == 0 then return { "alive", pack_task(task), "", "0" } end
  task.state = "ended"
  task.endedAt = at
  task.endedBy = by
  if outcome ~= "" then task.outcome = outcome end
  task.heartbeatBy = nil
  write_task(id, task)
  redis.call("ZADD", P .. ":tdue", at, id)
  local ended = P .. ":tended"
  redis.call("ZADD", ended, at, id)
  redis.call("ZREMRANGEBYSCORE", ended, "-inf", at - retention)
  record(at, said, { task = "task_" .. id, ended_by = by, outcome = outcome ~= "" and outcome or nil })
end
if hide > 0 then redis.call("ZADD", P .. ":tdue", "XX", at + hide, id) end
-- A small hash comes whole, whatever is asked for: then the next hundred behind the id of the last one. No offset would do, for what
-- has ended makes a hash large, and its order another.
local process, from = string.match(cursor, "^(%x+):(%d+)$")
if process and process ~= process_id() then from = nil end
local page = redis.call("HSCAN", P .. ":tl:" .. id, from or "0", "COUNT", 100)
local leases, next_cursor = {}, ""
for i = 1, #page[2], 2 do
  if page[2][i + 1] == "" then leases[#leases + 1] = page[2][i] end
end
if page[1] ~= "0" then
  next_cursor = process_id() .. ":" .. page[1]
elseif not from then
  local after = string.match(cursor, "^>(.*)$") or ""
  table.sort(leases)
  local first = 1
  while leases[first] and leases[first] <= after do first = first + 1 end
  if leases[first + 100] then next_cursor = ">" .. leases[first + 99] end
  leases = { unpack(leases, first, math.min(first + 99, #leases)) }
end
local reply = { "ended", pack_task(task), next_cursor, tostring(redis.call("EXISTS", P .. ":tc:" .. id)) }
local closed, revoking = {}, {}
for _, lease_id in ipairs(leases) do
  local lease = read_lease(lease_id)
  if lease then
    local how = finish(lease_id, lease, at, task.endedBy)
    if how == "closed" then closed[#closed + 1] = "lease_" .. lease_id end
    if how == "revoking" then revoking[#revoking + 1] = "lease_" .. lease_id end
    if lease[STATE] == "r" or lease[STATE] == "s" then reply[#reply + 1] = lease_id end
  end
end
write_closed(at)
if #closed > 0 then record(at, '{"action":"lease.ended","principal":"broker"}', { leases = closed, task = "task_" .. id, ended_by = task.endedBy }) end
if #revoking > 0 then record(at, '{"action":"lease.ending","principal":"broker"}', { leases = revoking, task = "task_" .. id, ended_by = task.endedBy }) end
save_facts()
return reply
