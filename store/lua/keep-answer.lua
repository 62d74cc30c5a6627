-- Keeps what came of an idempotency key for a day; without an answer the key is free again.
local k = P .. ":i:" .. key
if answer == "" then
  redis.call("DEL", k)
else
  redis.call("SET", k, cjson.encode({ body = body, answer = answer }), "PX", 86400000)
end
return 1
