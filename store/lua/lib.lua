-- What all scripts share; the loader puts it in front of each. KEYS[1] is the bucket: a hash of its own facts, and the prefix of
-- every other key of it. KEYS[2] never exists: while a cluster moves the bucket's slot, Redis refuses the script (TRYAGAIN) before
-- it has done anything, because one declared key is there and the other is not.
local P = KEYS[1]
local format, find = string.format, string.find

local FACTS = { "hw", "seq", "feed", "locks", "marks", "hold", "opened", "p", "a", "r", "s", "d", "f" }
local facts, changed, news = {}, {}, {}
-- How many feed entries a bucket keeps: a verifier that is further behind takes a snapshot.
local FEED_LENGTH = 4096

local function read_facts()
  local got = redis.call("HMGET", P, unpack(FACTS))
  for i, name in ipairs(FACTS) do facts[name] = tonumber(got[i] or 0) or 0 end
end

local function set_fact(name, value)
  facts[name] = value
  changed[name] = value
end

local function save_facts()
  local args = {}
  for name, value in pairs(changed) do
    args[#args + 1] = name
    args[#args + 1] = format("%d", value)
  end
  if #args > 0 then redis.call("HSET", P, unpack(args)) end
  -- Only a hint: whoever misses it reads the bucket within a second anyway. An entry that came alone is told with it.
  if changed.feed then
    local hint = { string.match(P, "{b(%x+)}") }
    if #news == 1 then hint = { hint[1], format("%d", facts.feed), unpack(news[1]) } end
    redis.call("PUBLISH", CHANNEL, cjson.encode(hint))
  end
end

-- The bucket's time: never goes back. Only an agreed clock moves it on.
local function instant(now, agreed)
  if agreed == 1 and now > facts.hw then set_fact("hw", now) end
  if facts.hw > now then return facts.hw end
  return now
end

-- One audit record, with the next number of the bucket: when, what was said, what was found, a line each. `said` is JSON from the broker, `found` what only the script knows.
local function record(at, said, found)
  set_fact("seq", facts.seq + 1)
  redis.call("XADD", P .. ":au", format("%d-0", facts.seq), "a", format("%d", at) .. "\n" .. said .. "\n" .. (found and cjson.encode(found) or ""))
end

-- What verifiers must hear of: a lease (`kind` "l") that ended before its `exp`, or a mark ("m").
local function announce(kind, name, instant_or_end, grant)
  set_fact("feed", facts.feed + 1)
  local entry = { kind, name, "t", format("%d", instant_or_end), "g", grant or "" }
  redis.call("XADD", P .. ":f", "MAXLEN", "~", FEED_LENGTH, format("%d-0", facts.feed), unpack(entry))
  news[#news + 1] = entry
end

-- Where HSCAN has come to means something to the process that said so, and nothing to another one, which has the same fields in another
-- order: after a failover or a restart a walk begins anew.
local function process_id() return string.match(redis.call("INFO", "server"), "run_id:(%x+)") end

-- A lease in a script's hands is a list; these are its places.
local STATE, SUBJECT, WORKLOAD, TRUST, GRANT, ISSUER, TASK, OPENED, EXPIRES, MAX_EXPIRES, CLASS, COMPUTES, KEY =
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
local TERMS, ATTEMPTS, ERROR, EPOCH, ENDED, ENDED_BY, HANDLE, NAME, SETTLED, HOW, FEED, STATUS = 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25
local EMPTY = { [TERMS] = "", [ATTEMPTS] = 0, [ERROR] = "", [EPOCH] = 0, [ENDED] = 0, [ENDED_BY] = "", [HANDLE] = "", [NAME] = "", [SETTLED] = 0, [HOW] = "", [FEED] = 0, [STATUS] = "" }

local function put(lease, place, value)
  for gap = #lease + 1, place - 1 do lease[gap] = EMPTY[gap] end
  lease[place] = value
end

local function at_place(lease, place)
  local value = lease[place]
  if value == nil then return EMPTY[place] end
  return value
end

local function lease_key(id) return P .. ":l:" .. id end
local function task_key(id) return P .. ":t:" .. id end

-- A record is one text, its fields between tabs (store/records.ts reads it): every byte counts a million times. State, class and
-- whether it computes are three letters; the instant is in the id; the ends are milliseconds from the one before; the trust is the
-- subject's first word, and only written when it is not. What is empty at the end is left out.
-- An id's letters are Crockford's; Lua reads base 32 with those from "i" on one to four places lower.
local PLAIN = { j = "i", k = "j", m = "k", n = "l", p = "m", q = "n", r = "o", s = "p", t = "q", v = "r", w = "s", x = "t", y = "u", z = "v" }
local function instant_of(id) return tonumber((string.gsub(string.sub(id, 1, 10), "[j-z]", PLAIN)), 32) end

local function field(value)
  if not value or value == 0 or value == "" then return "" end
  if type(value) == "number" then return format("%d", value) end
  return find(value, "[\t\n]") and string.gsub(value, "[\t\n]", " ") or value
end

local function pack_lease(lease)
  local subject, expires, trust = lease[SUBJECT], lease[EXPIRES], lease[TRUST] .. ":"
  local fields = {
    lease[STATE] .. lease[CLASS] .. format("%d", lease[COMPUTES]), field(subject), field(lease[WORKLOAD]), field(lease[GRANT]), field(lease[ISSUER]),
    lease[TASK], field(expires - lease[OPENED]), field(lease[MAX_EXPIRES] - expires), field(lease[KEY]),
    string.sub(subject, 1, #trust) == trust and "" or field(lease[TRUST]),
  }
  for place = TERMS, #lease do fields[place - TERMS + 11] = field(lease[place]) end
  local last = #fields
  while fields[last] == "" do last = last - 1 end
  return table.concat(fields, "\t", 1, last)
end

local EACH_FIELD = "^(.)(.)(.)\t" .. string.rep("([^\t]*)\t", 21)
local NO_MORE = string.rep("\t", 21)
local function number(text) return text == "" and 0 or tonumber(text) end

local function unpack_lease(id, text)
  local state, class, computes, subject, workload, grant, issuer, task, ttl, longer, key, trust, terms, attempts, said, epoch, ended, by, handle, name, settled, how, feed, status =
    string.match(text .. NO_MORE, EACH_FIELD)
  local opened = instant_of(id)
  local expires = opened + number(ttl)
  if trust == "" then trust = string.match(subject, "^[^:]*") end
  return {
    state, subject, workload, trust, grant, issuer, task, opened, expires, expires + number(longer), class, number(computes), key,
    terms, number(attempts), said, number(epoch), number(ended), by, handle, name, number(settled), how, number(feed), status,
  }
end

local function read_lease(id)
  local text = redis.call("GET", lease_key(id))
  if text then return unpack_lease(id, text) end
  return nil
end

local function write_lease(id, lease) redis.call("SET", lease_key(id), pack_lease(lease)) end

local function move(lease, to)
  local from = lease[STATE]
  if from ~= to then
    set_fact(from, facts[from] - 1)
    set_fact(to, facts[to] + 1)
    lease[STATE] = to
  end
end

-- A lease names its signing key by the first letters of its id only; a mark on a key stands under both its names.
local function short(key) return string.sub(key, 1, 12) end

-- The latest mark over these names, 0 when there is none.
local function mark_over(subject, grant, issuer, trust, key)
  if facts.marks == 0 then return 0 end
  local got = redis.call("HMGET", P .. ":marks", "all", "workload:" .. subject, "grant:" .. grant, "issuer:" .. issuer, "trust:" .. trust, "k:" .. short(key))
  local latest = 0
  for i = 1, 6 do
    local mark = tonumber(got[i] or 0)
    if mark > latest then latest = mark end
  end
  return latest
end

local function marked(lease)
  return lease[OPENED] <= mark_over(lease[SUBJECT], lease[GRANT], lease[ISSUER], lease[TRUST], lease[KEY] or "")
end

-- Status lists: a token has a place in the list of the hour that it ends in. The bucket counts places by itself; which index of the
-- published list that is, only brokers know. A lease keeps `hour.generation.number` for each hour its tokens end in. The generation
-- changes when the store has gone back: numbers given out since then would be given out again.
local LIST_HOURS = 3600000

local function allot_status(lease, expires, at)
  local hour = format("%d", math.floor(expires / LIST_HOURS))
  local held = at_place(lease, STATUS)
  if string.match(held, "(%d+)%.%d+%.%d+$") == hour then return end
  local list = hour .. "." .. (redis.call("HGET", P, "generation") or "0")
  local given = P .. ":sn"
  local number = redis.call("HINCRBY", given, list, 1) - 1
  if number == 0 then
    for _, old in ipairs(redis.call("HKEYS", given)) do
      if (tonumber(string.match(old, "^%d+")) + 2) * LIST_HOURS < at then
        redis.call("HDEL", given, old)
        redis.call("HDEL", P .. ":sa", old)
      end
    end
  end
  put(lease, STATUS, (held == "" and "" or held .. " ") .. list .. "." .. format("%d", number))
end

local function invalidate_status(lease, at)
  for hour, generation, number in string.gmatch(at_place(lease, STATUS), "(%d+)%.(%d+)%.(%d+)") do
    local bits = P .. ":sb:" .. hour .. "." .. generation
    redis.call("SETBIT", bits, number, 1)
    redis.call("PEXPIRE", bits, math.max(1000, (tonumber(hour) + 2) * LIST_HOURS - at))
  end
end

-- A lease has come to its end for good. Whoever calls this or `finish` calls `write_closed` before the facts are saved.
local closing = {}

local function close(id, lease, at, state, how)
  move(lease, state)
  put(lease, SETTLED, at)
  put(lease, HOW, how)
  put(lease, HANDLE, "")
  -- Tokens are believed offline until their `exp`: verifiers must know, unless a mark has told them already. FEED is the number of
  -- the entry up to which they must have read.
  if lease[COMPUTES] == 1 and lease[EXPIRES] > at then
    if not marked(lease) then
      local revoked = P .. ":rv"
      redis.call("ZREMRANGEBYSCORE", revoked, "-inf", at - 60000)
      redis.call("ZADD", revoked, lease[EXPIRES], id .. lease[GRANT])
      announce("l", id, lease[EXPIRES], lease[GRANT])
    end
    put(lease, FEED, facts.feed)
    invalidate_status(lease, at)
  end
  closing[id] = lease
end

local function gather(lists, name, value)
  local list = lists[name]
  if list then list[#list + 1] = value else lists[name] = { value } end
end

-- Out of the due set and the workload's index, and into the task's memory, what was closed together at once; records stay readable
-- until an hour after the `exp`.
local function write_closed(at)
  if next(closing) == nil then return end
  local ids, of_workload, of_task = {}, {}, {}
  for id, lease in pairs(closing) do
    ids[#ids + 1] = id
    gather(of_workload, lease[SUBJECT], id)
    gather(of_task, lease[TASK], id)
    if lease[STATE] == "f" then
      write_lease(id, lease)
      redis.call("SADD", P .. ":forced", id)
    else
      redis.call("SET", lease_key(id), pack_lease(lease), "PX", math.max(lease[EXPIRES] + 3600000 - at, 3600000))
    end
  end
  redis.call("ZREM", P .. ":due", unpack(ids))
  for subject, theirs in pairs(of_workload) do
    redis.call("HDEL", P .. ":w:" .. subject, unpack(theirs))
    local fewer = {}
    for _, id in ipairs(theirs) do gather(fewer, closing[id][GRANT], id) end
    local budget = P .. ":b:" .. subject
    for grant, those in pairs(fewer) do
      if redis.call("HINCRBY", budget, grant, -#those) <= 0 then redis.call("HDEL", budget, grant) end
    end
  end
  for task, its in pairs(of_task) do
    local key, told = P .. ":tl:" .. task, {}
    local known = redis.call("HMGET", key, unpack(its))
    for i, id in ipairs(its) do
      local lease = closing[id]
      if known[i] then -- a task long forgotten is not remembered again
        told[#told + 1] = id
        told[#told + 1] = cjson.encode({ lease[ISSUER], lease[HOW], lease[CLASS], lease[ENDED], lease[EXPIRES], at - lease[ENDED], string.sub(at_place(lease, ERROR), 1, 200), lease[GRANT], at_place(lease, FEED) })
      end
    end
    if #told > 0 then redis.call("HSET", key, unpack(told)) end
  end
  closing = {}
end

-- A pending lease is due when its issuer must have finished. Ended before that it stays due then, unless the issuer says that it has
-- finished: a target that is asked too early says "already gone", and then makes the credential.
local function issued_by(lease) return lease[OPENED] + 30000 end

local function awaits_issuer(id, lease, at)
  return at < issued_by(lease) and tonumber(redis.call("ZSCORE", P .. ":due", id) or 0) == issued_by(lease)
end

-- Begins or completes an ending. A computing issuer needs no call: closed at once. Answers "closed", "revoking" or nil (had ended).
local function finish(id, lease, at, by)
  local state = lease[STATE]
  if state ~= "p" and state ~= "a" or closing[id] then return nil end
  put(lease, ENDED, at)
  put(lease, ENDED_BY, by)
  if lease[COMPUTES] == 1 then
    close(id, lease, at, "d", "revoked")
    return "closed"
  end
  move(lease, "r")
  if state == "a" or by == "issue_failed" or at >= issued_by(lease) then redis.call("ZADD", P .. ":due", at, id) end
  write_lease(id, lease)
  return "revoking"
end

-- A lock over these names that still holds, decoded; nil when there is none. A scope has a list of them: one that runs out or is taken
-- away leaves the others in force.
local function lock_over(at, subject, workload, grant, issuer, trust)
  if facts.locks == 0 then return nil end
  local got = redis.call("HMGET", P .. ":locks", "all", "workload:" .. subject, "workload:" .. workload, "grant:" .. grant, "issuer:" .. issuer, "trust:" .. trust)
  for i = 1, 6 do
    if got[i] then
      local longest = nil
      for _, lock in ipairs(cjson.decode(got[i])) do
        if lock["until"] > at and (not longest or lock["until"] > longest["until"]) then longest = lock end
      end
      if longest then return longest end
    end
  end
  return nil
end

-- Evidence is spent by what it opens, and by twenty refusals. `max` 0: may be used at will. Evidence of many uses belongs to the first
-- key that was proven with it: from then on its uses are not counted, and nobody else has any.
local SPENT = 1000000

local function evidence_refusal(evidence, max, key)
  if max == 0 then return nil end
  local got = redis.call("MGET", P .. ":e:" .. evidence, P .. ":ek:" .. evidence)
  if got[2] and got[2] ~= key then return "binding_mismatch" end
  local used = tonumber(got[1] or 0)
  if used >= SPENT or (used >= max and not got[2]) then return "evidence_spent" end
  return nil
end

local function spend(evidence, max, ttl, owner)
  if max == 0 then return end
  if max > 1 and owner ~= "" then
    redis.call("SET", P .. ":ek:" .. evidence, owner, "PX", ttl)
    return
  end
  local key = P .. ":e:" .. evidence
  if redis.call("INCR", key) == 1 then redis.call("PEXPIRE", key, ttl) end
end

local function count_refusal(evidence, max, ttl)
  if max == 0 or evidence == "" then return end
  local key = P .. ":er:" .. evidence
  local refusals = redis.call("INCR", key)
  if refusals == 1 then redis.call("PEXPIRE", key, ttl) end
  if refusals == 20 then redis.call("SET", P .. ":e:" .. evidence, SPENT, "PX", ttl) end
end

-- A proof of possession is good once. What is kept is the id of the attempt that spent it: its own second try is no replay.
local function proof_used(proof, attempt)
  if proof == "" then return false end
  local by = redis.call("GET", P .. ":j:" .. proof)
  return by and by ~= attempt
end

local function spend_proof(proof, ttl, attempt)
  if proof ~= "" then redis.call("SET", P .. ":j:" .. proof, attempt, "PX", ttl) end
end

-- A refusal: its record for operators (7 days, at most 1,000 per subject) and its audit record. False when it was recorded before.
local function deny(at, id, subject, body, said, retention, code, message)
  local key = P .. ":d:" .. id
  if redis.call("EXISTS", key) == 1 then return false end
  redis.call("SET", key, code .. "\n" .. (message or "") .. "\n" .. body, "PX", retention)
  local list = P .. ":ds:" .. subject
  if redis.call("LPUSH", list, id) > 1000 then
    local oldest = redis.call("RPOP", list)
    if oldest then redis.call("UNLINK", P .. ":d:" .. oldest) end
  end
  redis.call("PEXPIRE", list, retention)
  record(at, said, { code = code })
  return true
end

-- Every call of a script makes this page's functions and tables anew: nothing is worked out here before it is needed.
-- A task is a JSON object whose names are one letter each (store/records.ts reads it). The trust is the subject's first word, and only
-- written when it is not. Its clock: the nearer of deadline and heartbeat.
local function pack_task(task)
  local short_task = {
    s = task.state, u = task.subject, w = task.workload, t = task.trust, o = task.openedAt, e = task.expiresAt, v = task.value,
    p = task.purpose, a = task.parent, m = task.heartbeatMs, b = task.heartbeatBy, x = task.endedAt, y = task.endedBy, c = task.outcome,
  }
  local trust = task.trust .. ":"
  if string.sub(task.subject, 1, #trust) == trust then short_task.t = nil end
  return cjson.encode(short_task)
end

local function unpack_task(text)
  local got = cjson.decode(text)
  return {
    state = got.s, subject = got.u, workload = got.w, trust = got.t or string.match(got.u, "^[^:]*"), openedAt = got.o, expiresAt = got.e,
    value = got.v, purpose = got.p, parent = got.a, heartbeatMs = got.m, heartbeatBy = got.b, endedAt = got.x, endedBy = got.y, outcome = got.c,
  }
end

local function read_task(id)
  local text = redis.call("GET", task_key(id))
  if text then return unpack_task(text) end
  return nil
end

local function write_task(id, task) redis.call("SET", task_key(id), pack_task(task)) end

local function watch_task(id, task)
  local due = task.expiresAt
  if task.heartbeatBy and task.heartbeatBy < due then due = task.heartbeatBy end
  redis.call("ZADD", P .. ":tdue", due, id)
end
