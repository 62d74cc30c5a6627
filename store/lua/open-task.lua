-- Opens a task, or joins the implicit one of the same value.
read_facts()
local at = instant(now, agreed)
local known = redis.call("GET", task_key(id))
if known then return { "opened", id, known } end -- our own earlier call, whose reply was lost
local joined_before = redis.call("GET", P .. ":tj:" .. id)
if joined_before then return { "joined", joined_before, redis.call("GET", task_key(joined_before)) } end -- the same, of one that joined

local function refuse(code, message, number, text)
  if deny(at, denial, subject, denial_body, denied, retention, code, message) then count_refusal(evidence, evidence_max, evidence_ttl) end
  save_facts()
  return { "refused", code, message or "", number or 0, text or "" }
end

if idem ~= "" then
  local seen = redis.call("GET", P .. ":i:" .. idem)
  if seen then
    local before = cjson.decode(seen)
    if before.body ~= idem_body then return refuse("idempotency_mismatch") end
    local text = redis.call("GET", task_key(before.task))
    if not text or cjson.decode(text).state ~= "open" then return refuse("task_ended", nil, 0, before.task) end
    return { "replayed", before.task, text }
  end
end
if facts.hold == 1 then return refuse("on_hold", nil, 30000) end
if agreed ~= 1 or facts.hw > now + 60000 then return refuse("clock_disagrees", nil, 5000) end
local lock = lock_over(at, subject, workload, "", "", trust)
if lock then return refuse("locked", lock.message, lock["until"] - at) end

-- Joining needs the same evidence again, so a use of it is spent only by what opens.
if value_hash ~= "" then
  local joined = redis.call("GET", P .. ":tk:" .. value_hash)
  local found = joined and read_task(joined)
  if found and at < math.max(found.expiresAt, found.openedAt + value_held) then
    if found.state ~= "open" or found.expiresAt <= at then return refuse("task_ended", nil, 0, joined) end
    if not evidence_left(evidence, evidence_max) then return refuse("evidence_spent") end
    spend(evidence, evidence_max, evidence_ttl)
    if heartbeat > 0 and not found.heartbeatMs then
      found.heartbeatMs = heartbeat
      found.heartbeatBy = at + heartbeat
      write_task(joined, found)
      watch_task(joined, found)
    end
    if idem ~= "" then redis.call("SET", P .. ":i:" .. idem, cjson.encode({ body = idem_body, task = joined }), "PX", 86400000) end
    redis.call("SET", P .. ":tj:" .. id, joined, "PX", 60000)
    record(at, joined_said, { task = "task_" .. joined })
    save_facts()
    return { "joined", joined, cjson.encode(found) }
  end
end
if not evidence_left(evidence, evidence_max) then return refuse("evidence_spent") end

-- A child ends no later than its parent, to the millisecond.
local expires = now + ttl
if deadline > 0 and deadline < expires then expires = deadline end
if expires <= at then return refuse("task_ended") end

spend(evidence, evidence_max, evidence_ttl)
local task = { state = "open", subject = subject, workload = workload, trust = trust, openedAt = now, expiresAt = expires }
if value_hash ~= "" then task.value = value end
if purpose ~= "" then task.purpose = purpose end
if parent ~= "" then task.parent = parent end
if heartbeat > 0 then
  task.heartbeatMs = heartbeat
  task.heartbeatBy = now + heartbeat
end
local packed = cjson.encode(task)
redis.call("SET", task_key(id), packed)
watch_task(id, task)
if value_hash ~= "" then redis.call("SET", P .. ":tk:" .. value_hash, id, "PX", math.max(expires - now, value_held)) end
if idem ~= "" then redis.call("SET", P .. ":i:" .. idem, cjson.encode({ body = idem_body, task = id }), "PX", 86400000) end
local names = P .. ":wn:" .. workload
redis.call("SADD", names, subject)
redis.call("PEXPIRE", names, 691200000)
record(at, said, { task = "task_" .. id, expires_at = task.expiresAt })
save_facts()
return { "opened", id, packed }
