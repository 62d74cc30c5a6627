-- Opens a lease, and its task when there is none yet; or refuses. All of it or nothing.
-- Everything is read before anything is written.
read_facts()
local at = instant(now, agreed)

-- What is only written when something is refused, or when a task is opened, is put together then.
local function denial_body(code, message)
  local facts_of = { at = denial_at, id = "den_" .. denial, grant = grant, route = denial_route, traceId = denial_trace, view = { code = code, message = message or "" } }
  local who = cjson.encode({ trust = trust, subject = subject, workload = workload })
  return string.sub(cjson.encode(facts_of), 1, -2) .. ',"principal":' .. string.sub(who, 1, -2) .. ',"claims":' .. claims .. "}}"
end

local function said_of(change)
  local facts_of = cjson.decode(said)
  for name, value in pairs(change) do facts_of[name] = value end
  return facts_of
end

local function refuse(code, message, number, text)
  local denied = cjson.encode(said_of({ action = "request.denied", decision = "deny", denial = "den_" .. denial }))
  -- whoever holds evidence of another's key can neither use it nor use it up
  if deny(at, denial, subject, denial_body(code, message), denied, retention, code, message) and code ~= "binding_mismatch" then count_refusal(evidence, evidence_max, evidence_ttl) end
  save_facts()
  return { "refused", code, message or "", number or 0, text or "" }
end

-- One text, a line each: neither record has line breaks, and a list costs its reader more.
local function opened_reply(lease, task, limit, new_task) return table.concat({ "opened", lease, task, limit, new_task }, "\n") end

-- Our own earlier call, whose reply was lost. What has ended since must not be answered with a credential.
local known = read_lease(id)
if known then
  if marked(known) or (known[STATE] ~= "p" and known[STATE] ~= "a") or known[EXPIRES] <= at then return refuse("lease_ended", nil, 0, id) end
  return opened_reply(redis.call("GET", lease_key(id)), redis.call("GET", task_key(known[TASK])), known[EXPIRES] < opened + ttl and "task" or limited_by, 0)
end

if proof_used(proof, id) then return refuse("invalid_dpop_proof") end

-- Before the idempotency key: a token signed again is handed out too.
local lock = lock_over(at, subject, workload, grant, issuer, trust)
if lock then return refuse("locked", lock.message, lock["until"] - at) end

if idem ~= "" then
  local seen = redis.call("GET", P .. ":i:" .. idem)
  if seen then
    local before = cjson.decode(seen)
    if before.body ~= idem_body then return refuse("idempotency_mismatch") end
    local lease = read_lease(before.lease)
    if not lease or marked(lease) or (lease[STATE] ~= "p" and lease[STATE] ~= "a") or lease[EXPIRES] <= at then return refuse("lease_ended", nil, 0, before.lease) end
    if lease[STATE] == "p" then return refuse("in_flight", nil, 1000, before.lease) end
    if lease[COMPUTES] ~= 1 then return refuse("already_issued", nil, 0, before.lease) end
    spend_proof(proof, proof_ttl, id)
    return { "replayed", redis.call("GET", lease_key(before.lease)), redis.call("GET", task_key(lease[TASK])), before.limited_by, before.lease, before.replay }
  end
end

if facts.hold == 1 then return refuse("on_hold", nil, 30000) end
if agreed ~= 1 or facts.hw > now + 60000 then return refuse("clock_disagrees", nil, 5000) end

-- Not a refusal for the caller: the broker comes back with a later id.
local mark = mark_over(subject, grant, issuer, trust, key)
-- A withdrawn key signs nothing more, however late the lease: the broker has not heard of it yet.
if key ~= "" and facts.marks > 0 and redis.call("HGET", P .. ":marks", "k:" .. short(key)) then
  return { "superseded", string.format("%d", mark), "key" }
end
if opened <= mark then return { "superseded", string.format("%d", mark), "" } end

local unfit = evidence_refusal(evidence, evidence_max, evidence_key)
if unfit then return refuse(unfit) end

-- The task: named, implicit (joined or opened), or the request's own.
local task, task_text, task_is_new = nil, nil, false
local task_id = task_ref
if task_kind == "implicit" then
  local joined = redis.call("GET", P .. ":tk:" .. task_hash)
  if joined then
    local text = redis.call("GET", task_key(joined))
    local found = text and unpack_task(text)
    if found and at < math.max(found.expiresAt, found.openedAt + task_ttl) then
      if found.state ~= "open" or found.expiresAt <= at then return refuse("task_ended", nil, 0, joined) end
      task, task_text, task_id = found, text, joined
    end
  end
elseif task_kind == "task" then
  task_text = redis.call("GET", task_key(task_ref))
  task = task_text and unpack_task(task_text)
  if not task or task.subject ~= subject then return refuse("task_ended", nil, 0, task_ref) end
  if task.state ~= "open" or task.expiresAt <= at then return refuse("task_ended", nil, 0, task_ref) end
end
if not task then
  task_is_new = true
  task = { state = "open", subject = subject, workload = workload, trust = trust, openedAt = opened, expiresAt = opened + task_ttl }
  if task_kind == "implicit" then task.value = task_value end
  if purpose ~= "" then task.purpose = purpose end
end

local expires, limit = opened + math.floor(ttl), limited_by
if task.expiresAt < expires then expires, limit = task.expiresAt, "task" end
if expires - at < 1000 then return refuse("task_ended", nil, 0, task_id) end

local budget = P .. ":b:" .. subject
if limit_active >= 0 then
  local live = tonumber(redis.call("HGET", budget, grant) or 0)
  if live >= limit_active then return refuse("limit_active", nil, 5000, string.format("%d", live)) end
end
local window_key, window = P .. ":n:" .. subject .. "|" .. grant, nil
if limit_hour >= 0 then
  local text = redis.call("GET", window_key)
  window = text and cjson.decode(text) or { opened, 0 }
  if at >= window[1] + 3600000 then window = { opened, 0 } end
  if window[2] >= limit_hour then return refuse("limit_rate", nil, window[1] + 3600000 - at) end
end

-- Nothing refuses any more: write.
if window then
  window[2] = window[2] + 1
  redis.call("SET", window_key, cjson.encode(window), "PX", 3600000)
end
spend(evidence, evidence_max, evidence_ttl, evidence_key)
spend_proof(proof, proof_ttl, id)
if task_is_new then
  write_task(task_id, task)
  watch_task(task_id, task)
  if task_kind == "implicit" then redis.call("SET", P .. ":tk:" .. task_hash, task_id, "PX", task_ttl) end
end

local computes = state == "active" and 1 or 0
local lease = { computes == 1 and "a" or "p", subject, workload, trust, grant, issuer, task_id, opened, expires, opened + math.floor(max_ttl), class, computes, short(key) }
if terms ~= "" then lease[TERMS] = terms end
if status == 1 then allot_status(lease, expires, at) end
local packed = pack_lease(lease)
redis.call("SET", lease_key(id), packed)
redis.call("ZADD", P .. ":due", computes == 1 and expires or issued_by(lease), id)
-- A hash without values: while it is small, Redis keeps it in a third of the room that a set of texts takes.
redis.call("HSET", P .. ":w:" .. subject, id, "")
redis.call("HSET", P .. ":tl:" .. task_id, id, "")
redis.call("HINCRBY", budget, grant, 1)
local names = P .. ":wn:" .. workload
redis.call("SADD", names, subject)
redis.call("PEXPIRE", names, 691200000)
set_fact("opened", facts.opened + 1)
set_fact(lease[STATE], facts[lease[STATE]] + 1)
if idem ~= "" then
  redis.call("SET", P .. ":i:" .. idem, cjson.encode({ body = idem_body, lease = id, limited_by = limit, replay = replay }), "PX", 86400000)
end
if task_is_new then
  local opening = said_of({ action = "task.opened" })
  opening.grant, opening.rule, opening.issuer = nil, nil, nil
  record(at, cjson.encode(opening), { task = "task_" .. task_id, expires_at = task.expiresAt })
end
record(at, said, { task = "task_" .. task_id, lease = "lease_" .. id, expires_at = expires, limited_by = limit })
save_facts()
return opened_reply(packed, task_is_new and pack_task(task) or task_text, limit, task_is_new and 1 or 0)
