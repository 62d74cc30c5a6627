import { openStore } from "../../../store/open.ts";
import { eventually } from "../events.ts";
import { startIdp } from "../idp.ts";
import { startMain } from "../main-process.ts";
import { startRedis, type TestRedis } from "../redis.ts";
import { shopDocuments } from "../shop.ts";
import { codeOf } from "./asking.ts";
import { Promises, type Fault } from "./fault.ts";

const LIMIT_MS = 60_000;

/** A Redis that may drop leases, or keeps them nowhere, when a broker starts and while one runs. */
export const unfitRedis: Fault = {
  id: "F9",
  what: "maxmemory-policy allkeys-lru, snapshots only, no append-only file: at start and at run time",
  async run(form, say) {
    const promises = new Promises();
    await using redis = await startRedis({ args: ["--save", "60", "1"] });
    const start = (requireAof: boolean): Promise<string> =>
      codeOf(openStore({ url: redis.url, requireAof }).then((store) => store.close()));
    promises.expect((await start(true)) === "store_unavailable", "a broker that requires a file starts with snapshots alone");
    promises.expect((await start(false)) === "ok", "a broker that requires no file does not start without one");
    await setPolicy(redis, "allkeys-lru");
    promises.expect((await start(false)) === "store_unavailable", "a broker starts on a Redis that may evict leases");
    await setPolicy(redis, "noeviction");
    if (form === "short") return { figures: {}, broken: promises.broken };

    await redis.client().config("SET", "appendonly", "yes");
    await using idp = await startIdp();
    const env = { STINT_REQUIRE_AOF: "1" };
    await using main = await startMain({ documents: (url) => shopDocuments(idp, url), redisUrl: redis.url, env });
    const figures: Record<string, number> = {};
    for (const [what, spoil, mend, word] of [
      ["eviction", () => setPolicy(redis, "allkeys-lru"), () => setPolicy(redis, "noeviction"), "allkeys-lru"],
      ["file", () => setFile(redis, "no"), () => setFile(redis, "yes"), "append-only"],
    ] as const) {
      await spoil();
      const began = performance.now();
      const said = await eventually(`not ready: ${what}`, async () => failing(main.at), LIMIT_MS + 15_000);
      figures[`${what}_noticed_ms`] = Math.round(performance.now() - began);
      promises.expect(said.includes(word), `/readyz does not say what is wrong: ${said}`);
      say(said);
      await mend();
      await eventually("ready again", async () => (await fetch(`${main.at}/readyz`)).ok, LIMIT_MS + 15_000);
    }
    for (const ms of Object.values(figures)) promises.expect(ms <= LIMIT_MS, `noticed after ${ms} ms`);
    return { figures, broken: promises.broken };
  },
};

const setPolicy = (redis: TestRedis, policy: string): Promise<unknown> => redis.client().config("SET", "maxmemory-policy", policy);
const setFile = (redis: TestRedis, value: string): Promise<unknown> => redis.client().config("SET", "appendonly", value);

/** What `/readyz` says is wrong; undefined while it is ready. */
async function failing(at: string): Promise<string | undefined> {
  const response = await fetch(`${at}/readyz`);
  return response.ok ? undefined : response.text();
}
