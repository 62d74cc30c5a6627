-- Notes progress of a revocation job; never goes back from done.
local key = P .. ":r:" .. id
local text = redis.call("GET", key)
if not text then return 0 end
local job = cjson.decode(text)
if state ~= "" and job.state ~= "done" then job.state = state end
if matched >= 0 then job.matched = matched end
if ended >= 0 then job.ended = ended end
if in_force_at > 0 then job.inForceAt = in_force_at end
redis.call("SET", key, cjson.encode(job), "PX", retention)
if endings ~= "" then
  for _, ending in ipairs(cjson.decode(endings)) do
    if redis.call("LLEN", P .. ":re:" .. id) < 1000 then redis.call("RPUSH", P .. ":re:" .. id, ending) end
  end
  redis.call("PEXPIRE", P .. ":re:" .. id, retention)
end
if job.state == "done" then redis.call("SREM", P .. ":ro", id) end
return 1
