-- A certificate's serial is revoked until it would have ended anyway. The list's number follows the clock, so that it goes on growing
-- over a store that was emptied; a hundred of those that have ended leave on the way.
local by_end, revoked = P .. ":serials:" .. target, P .. ":revoked:" .. target
for _, ended in ipairs(redis.call("ZRANGEBYSCORE", by_end, "-inf", now, "LIMIT", 0, 100)) do
  redis.call("ZREM", by_end, ended)
  redis.call("HDEL", revoked, ended)
end
local known = redis.call("ZSCORE", by_end, serial)
if known and tonumber(known) >= keep_until then return "already_gone" end
redis.call("ZADD", by_end, keep_until, serial)
if known then return "already_gone" end
redis.call("HSET", revoked, serial, string.format("%d", now))
local number = tonumber(redis.call("HGET", revoked, "#") or "0")
redis.call("HSET", revoked, "#", string.format("%d", math.max(number + 1, now)))
return "revoked"
