/**
 * What the floor writes for a lease: the record as one string, the due set, the workload's and the task's index, the audit entry.
 * One script each, like anybody who must not lose one of the five.
 */
export const OPEN = `
redis.call("SET", KEYS[1], ARGV[2])
redis.call("ZADD", "floor:due", ARGV[3], ARGV[1])
redis.call("SADD", KEYS[2], ARGV[1])
redis.call("SADD", KEYS[3], ARGV[1])
redis.call("XADD", "floor:audit", "MAXLEN", "~", 10000, "*", "a", ARGV[4])
return 1`;

/** Ends a lease for whoever holds its credential: the hash kept with the record must be the token's. */
export const REVOKE = `
local text = redis.call("GET", KEYS[1])
if not text then return 0 end
local lease = cjson.decode(text)
if lease[1] ~= "a" or lease[8] ~= ARGV[2] then return 0 end
lease[1] = "d"
redis.call("SET", KEYS[1], cjson.encode(lease), "PX", 3600000)
redis.call("ZREM", "floor:due", ARGV[1])
redis.call("SREM", "floor:w:" .. lease[2], ARGV[1])
redis.call("SREM", "floor:t:" .. lease[5], ARGV[1])
redis.call("XADD", "floor:audit", "MAXLEN", "~", 10000, "*", "a", ARGV[3])
return 1`;
