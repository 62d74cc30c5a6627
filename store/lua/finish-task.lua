-- The task's leases and children have all been ended: nothing is left to do but to remember it for a while.
local task = read_task(id)
if not task or task.state ~= "ended" then return 0 end
redis.call("ZREM", P .. ":tdue", id)
redis.call("PEXPIRE", task_key(id), retention)
redis.call("PEXPIRE", P .. ":tl:" .. id, retention)
redis.call("PEXPIRE", P .. ":tc:" .. id, retention)
return 1
