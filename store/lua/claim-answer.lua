-- What came of an idempotency key before: nothing (it is the caller's for a moment now), not yet known, or an answer.
local k = P .. ":i:" .. key
local seen = redis.call("GET", k)
if seen then
  local before = cjson.decode(seen)
  if before.body ~= body then return { "other_body", "" } end
  if before.answer then return { "answered", before.answer } end
  if before.holder ~= holder then return { "in_flight", "" } end
end
redis.call("SET", k, cjson.encode({ body = body, holder = holder }), "PX", 30000)
return { "first", "" }
