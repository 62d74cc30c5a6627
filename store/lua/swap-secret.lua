-- One sealed secret of a target: written only over the one that the writer has read (`from`; empty: over nothing).
local key = P .. ":vault:" .. target
local held = redis.call("HGET", key, name) or ""
-- A write that was sent twice has done its work the first time.
if held == to then return "swapped" end
if held ~= from then return "changed" end
redis.call("HSET", key, name, to)
redis.call("SADD", P .. ":vaults", target)
return "swapped"
