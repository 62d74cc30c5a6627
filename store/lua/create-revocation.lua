-- Puts a revocation job on record, among the unfinished and among those that are listed. Once: what came since stays.
local key = P .. ":r:" .. id
if redis.call("SET", key, job, "PX", retention, "NX") then redis.call("SADD", P .. ":ro", id) end
redis.call("ZADD", P .. ":rs", at, id)
redis.call("ZREMRANGEBYSCORE", P .. ":rs", "-inf", at - retention)
return 1
