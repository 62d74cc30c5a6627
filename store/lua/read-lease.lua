-- One lease and whether a mark covers it.
read_facts()
local text = redis.call("GET", lease_key(id))
if not text then return { "unknown" } end
return { "known", text, marked(unpack_lease(id, text)) and 1 or 0 }
