-- Enters a child under its parent before the child exists: refused once the parent has ended. The child ends no later.
local task = read_task(parent)
if not task or task.state ~= "open" or task.expiresAt <= now then return { "ended" } end
redis.call("SADD", P .. ":tc:" .. parent, child)
return { "entered", string.format("%d", task.expiresAt) }
