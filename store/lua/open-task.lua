-- Opens a task, or joins the implicit one of the same value.
read_facts()
local at = instant(now, agreed)
local known = redis.call("GET", task_key(id))
if known then return { "opened", id, known } end -- our own earlier call, whose reply was lost
local joined_before = redis.call("GET", P .. ":tj:" .. id)
if joined_before then return { "joined", joined_before, redis.call("GET", task_key(joined_before)) } end -- the same, of one that joined

local function refuse(code, message, number, text)
  -- whoever holds evidence of another's key can neither use it nor use it up
  if deny(at, denial, subject, denial_body, denied, retention, code, message) and code ~= "binding_mismatch" then count_refusal(evidence, evidence_max, evidence_ttl) end
  save_facts()
  return { "refused", code, message or "", number or 0, text or "" }
end

if proof_used(proof, id) then return refuse("invalid_dpop_proof") end

if idem ~= "" then
  local seen = redis.call("GET", P .. ":i:" .. idem)
  if seen then
    local before = cjson.decode(seen)
    if before.body ~= idem_body then return refuse("idempotency_mismatch") end
    local text = redis.call("GET", task_key(before.task))
    if not text or unpack_task(text).state ~= "open" then return refuse("task_ended", nil, 0, before.task) end
    spend_proof(proof, proof_ttl, id)
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
    local unfit = evidence_refusal(evidence, evidence_max, evidence_key)
    if unfit then return refuse(unfit) end
    spend(evidence, evidence_max, evidence_ttl, evidence_key)
    spend_proof(proof, proof_ttl, id)
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
    return { "joined", joined, pack_task(found) }
  end
end
local unfit = evidence_refusal(evidence, evidence_max, evidence_key)
if unfit then return refuse(unfit) end

-- A child ends no later than its parent, to the millisecond.
local expires = now + ttl
if deadline > 0 and deadline < expires then expires = deadline end
if expires <= at then return refuse("task_ended") end

spend(evidence, evidence_max, evidence_ttl, evidence_key)
spend_proof(proof, proof_ttl, id)
local task = { state = "open", subject = subject, workload = workload, trust = trust, openedAt = now, expiresAt = expires }
if value_hash ~= "" then task.value = value end
if purpose ~= "" then task.purpose = purpose end
if parent ~= "" then task.parent = parent end
if heartbeat > 0 then
  task.heartbeatMs = heartbeat
  task.heartbeatBy = now + heartbeat
end
local packed = pack_task(task)
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
