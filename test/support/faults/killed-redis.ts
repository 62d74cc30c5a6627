import { eventually } from "../events.ts";
import { startRedis } from "../redis.ts";
import { openShop } from "../shop.ts";
import { aToken, codeOf, isHonoured, revoke } from "./asking.ts";
import { Promises, type Fault } from "./fault.ts";

const KILLS = { short: 5, long: 50 } as const;

/** A Redis with an append-only file synced at every write dies the moment a revocation was acknowledged. */
export const killedRedis: Fault = {
  id: "F4",
  what: "SIGKILL of Redis (append-only file, fsync always) right after an acknowledged revocation",
  async run(form) {
    const promises = new Promises();
    await using redis = await startRedis({ aof: true });
    await using shop = await openShop({ redis });
    let inactive = 0;
    for (let kill = 1; kill <= KILLS[form]; kill += 1) {
      const [kept, token] = [await aToken(shop), await aToken(shop)];
      await revoke(shop, token);
      await redis.kill9();
      promises.expect((await codeOf(aToken(shop))) === "store_unavailable", `kill ${kill}: something was issued without a store`);
      await redis.restart();
      if (!(await eventually("Redis answers again", async () => ({ honoured: await isHonoured(shop, token) }), 30_000)).honoured)
        inactive += 1;
      promises.expect(await isHonoured(shop, kept), `kill ${kill}: a token that was acknowledged is not honoured`);
    }
    promises.expect(inactive === KILLS[form], `${KILLS[form] - inactive} revoked tokens were honoured again`);
    return { figures: { kills: KILLS[form], inactive }, broken: promises.broken };
  },
};
