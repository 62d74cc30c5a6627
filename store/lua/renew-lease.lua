-- Moves a live lease's end later: never past its maximum, its task, or a mark. Under an idempotency key once: then the same token
-- may be signed again, if the lease may still be renewed.
read_facts()
local at = instant(now, agreed)
local lease = read_lease(id)
if not lease or lease[TASK] ~= task_id then return { "refused", "not_found", "", 0, "" } end

local function refuse(code, message, number)
  deny(at, denial, lease[SUBJECT], denial_body, denied, retention, code, message)
  save_facts()
  return { "refused", code, message or "", number or 0, id }
end

if lease[STATE] ~= "a" or lease[EXPIRES] <= at or marked(lease) then return refuse("lease_ended") end
if facts.hold == 1 then return refuse("on_hold", nil, 30000) end
if agreed ~= 1 or facts.hw > now + 60000 then return refuse("clock_disagrees", nil, 5000) end
local lock = lock_over(at, lease[SUBJECT], lease[WORKLOAD], lease[GRANT], lease[ISSUER], lease[TRUST])
if lock then return refuse("locked", lock.message, lock["until"] - at) end
local task = read_task(task_id)
if not task or task.state ~= "open" or task.expiresAt <= at then return refuse("task_ended") end

local seen = idem ~= "" and redis.call("GET", P .. ":i:" .. idem)
if seen then
  local before = cjson.decode(seen)
  if before.body ~= idem_body then return refuse("idempotency_mismatch") end
  if before.expires <= at then return refuse("lease_ended") end
  if key ~= "" then
    lease[KEY] = short(key)
    write_lease(id, lease)
  end
  save_facts()
  lease[EXPIRES] = before.expires
  return { "renewed", pack_lease(lease), before.limited_by, before.jti }
end

local expires, limit = now + math.floor(ttl), limited_by
if lease[MAX_EXPIRES] < expires then expires, limit = lease[MAX_EXPIRES], "grant" end
if task.expiresAt < expires then expires, limit = task.expiresAt, "task" end
if expires < lease[EXPIRES] then expires = lease[EXPIRES] end
lease[EXPIRES] = expires
if key ~= "" then lease[KEY] = short(key) end
if status == 1 then allot_status(lease, expires, at) end
write_lease(id, lease)
redis.call("ZADD", P .. ":due", expires, id)
record(at, said, { lease = "lease_" .. id, task = "task_" .. task_id, expires_at = expires, limited_by = limit })
if idem ~= "" then
  redis.call("SET", P .. ":i:" .. idem, cjson.encode({ body = idem_body, jti = jti, expires = expires, limited_by = limit }), "PX", 86400000)
end
save_facts()
return { "renewed", pack_lease(lease), limit, jti }
