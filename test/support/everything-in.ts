import type { Redis } from "ioredis";

/** Everything in Redis as text, keys and values. A DUMP would not do: what is compressed in there is found by nobody. */
export async function everythingIn(redis: Redis): Promise<string> {
  const found: unknown[] = [];
  for (const key of await redis.keys("*")) {
    const kind = await redis.type(key);
    found.push(key);
    if (kind === "string") found.push(await redis.get(key));
    else if (kind === "hash") found.push(await redis.hgetall(key));
    else if (kind === "list") found.push(await redis.lrange(key, 0, -1));
    else if (kind === "set") found.push(await redis.smembers(key));
    else if (kind === "zset") found.push(await redis.zrange(key, "0", "-1"));
    else if (kind === "stream") found.push(await redis.xrange(key, "-", "+"));
    else throw new Error(`${key} is a ${kind}: look into those, too`);
  }
  return JSON.stringify(found);
}
