-- One audit exporter at a time. The fence rises with every holder, so that one who woke up late is known by its old number.
local key = P .. ":exporter"
local held = redis.call("GET", key)
if held and held ~= holder then return "" end
if not held then redis.call("INCR", P .. ":fence") end
redis.call("SET", key, holder, "PX", ttl)
return redis.call("GET", P .. ":fence")
