import { startRedis } from "../redis.ts";
import { openShop } from "../shop.ts";
import { aToken, codeOf, isHonoured, revoke } from "./asking.ts";
import { Promises, type Fault } from "./fault.ts";

/** Redis is told that it may hold less than it does. */
export const fullMemory: Fault = {
  id: "F8",
  what: "maxmemory of Redis set below what it uses",
  async run(form) {
    const promises = new Promises();
    const tokens = form === "short" ? 4 : 200;
    await using redis = await startRedis();
    await using shop = await openShop({ redis });
    const before = await Promise.all(Array.from({ length: tokens }, () => aToken(shop)));
    await redis.client().config("SET", "maxmemory", "1mb");
    promises.expect((await codeOf(aToken(shop))) === "store_unavailable", "something was issued although memory is full");
    for (const [index, token] of before.entries()) {
      promises.expect(await isHonoured(shop, token), "a token could not be introspected while memory was full");
      if (index % 2 === 0) await revoke(shop, token);
    }
    const honoured = (await Promise.all(before.map((token) => isHonoured(shop, token)))).filter(Boolean).length;
    promises.expect(honoured === Math.floor(tokens / 2), `${honoured} of ${tokens} tokens are honoured after every other was revoked`);
    const evicted = /evicted_keys:(\d+)/.exec(await redis.client().info("stats"))?.[1] ?? "";
    promises.expect(evicted === "0", `${evicted} keys were evicted`);
    await redis.client().config("SET", "maxmemory", "0");
    promises.expect((await codeOf(aToken(shop))) === "ok", "nothing is issued although there is room again");
    return { figures: { tokens, revoked_while_full: Math.ceil(tokens / 2), evicted }, broken: promises.broken };
  },
};
