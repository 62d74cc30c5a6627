import type { Redis } from "ioredis";
import { bitsOf, bucketOfId, instantOf, newId, type LeaseId } from "../../domain/ids.ts";
import { bare, placeKey } from "../../store/keyspace.ts";

/** Records that one script copies: Redis answers others in between. */
const AT_ONCE = 1_000;

/** Record, due index and workload index of a lease, once more for each new id; the bucket counts them. */
const COPY = `
local P, of = KEYS[1], ARGV[1]
local text = redis.call("GET", P .. ":l:" .. of)
local due, subject = redis.call("ZSCORE", P .. ":due", of), string.match(text, "^[^\\t]*\\t([^\\t]*)")
for i = 2, #ARGV do
  redis.call("SET", P .. ":l:" .. ARGV[i], text)
  redis.call("ZADD", P .. ":due", due, ARGV[i])
  redis.call("HSET", P .. ":w:" .. subject, ARGV[i], "")
end
redis.call("HINCRBY", P, "opened", #ARGV - 1)
return redis.call("HINCRBY", P, "a", #ARGV - 1)`;

/**
 * Gives a lease's workload so many more like it, without a request for each: a million requests would take minutes, and their audit
 * trail a gigabyte. Everything that a mark or its clean-up would meet is there.
 */
export async function crowd(redis: Redis, lease: LeaseId, count: number): Promise<void> {
  const place = placeKey(bucketOfId(lease));
  for (let made = 0; made < count; made += AT_ONCE) {
    const ids = Array.from({ length: Math.min(AT_ONCE, count - made) }, () => bare(newId("lease", instantOf(lease), bitsOf(lease))));
    await redis.eval(COPY, 1, place, bare(lease), ...ids);
  }
}
