-- Notes progress of a revocation job; never goes back from done. `matched` and `ended` are totals, and the larger ones hold. A page of a
-- clean-up counts once, whoever walks it and however often it is told: a lease is closed by one script only, so that the `first` of those
-- that were `closed` names their page; those that are `waiting` for their target are met again and again, and remembered. Replies with
-- the totals.
local key = P .. ":r:" .. id
local text = redis.call("GET", key)
if not text then return { 0, 0 } end
local job = cjson.decode(text)
local pages, waits = P .. ":rp:" .. id, P .. ":rw:" .. id
if job.state ~= "done" then
  if closed > 0 and redis.call("SADD", pages, first) == 1 then
    job.matched = job.matched + closed
    job.ended = job.ended + closed
    redis.call("PEXPIRE", pages, retention)
  end
  if waiting ~= "" then
    job.matched = job.matched + redis.call("SADD", waits, unpack(cjson.decode(waiting)))
    redis.call("PEXPIRE", waits, retention)
  end
  if state ~= "" then job.state = state end
end
job.matched = math.max(job.matched, matched)
job.ended = math.max(job.ended, ended)
if in_force_at > 0 then job.inForceAt = in_force_at end
job.notedAt = math.max(job.notedAt or 0, now)
redis.call("SET", key, cjson.encode(job), "PX", retention)
if endings ~= "" then
  for _, ending in ipairs(cjson.decode(endings)) do
    if redis.call("LLEN", P .. ":re:" .. id) < 1000 then redis.call("RPUSH", P .. ":re:" .. id, ending) end
  end
  redis.call("PEXPIRE", P .. ":re:" .. id, retention)
end
if job.state == "done" then
  redis.call("SREM", P .. ":ro", id)
  redis.call("UNLINK", pages, waits)
end
return { job.matched, job.ended }
