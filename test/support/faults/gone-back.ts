import { cp, mkdtemp, readdir, rm, stat, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Secret } from "../../../domain/secret.ts";
import { origin, startBroker, type TestBroker } from "../broker.ts";
import { eventually } from "../events.ts";
import { startRedis, type TestRedis } from "../redis.ts";
import { openShop, request, shopDocuments, type Shop } from "../shop.ts";
import { aToken, codeOf, isHonoured, revoke } from "./asking.ts";
import { Promises, type Fault } from "./fault.ts";

/** A way in which Redis forgets what it has acknowledged. */
interface Loss {
  readonly name: string;
  /** Before the revocation, while Redis runs. */
  readonly before: (redis: TestRedis, folder: string) => Promise<void>;
  /** After it; Redis runs again when this returns. */
  readonly lose: (redis: TestRedis, folder: string) => Promise<void>;
}

const LOSSES: readonly Loss[] = [
  {
    name: "the tail of its append-only file cut off",
    before: async () => undefined,
    lose: async (redis, folder) => {
      await redis.kill9();
      const files = join(folder, "appendonlydir");
      const newest =
        (await readdir(files))
          .filter((name) => name.endsWith(".incr.aof"))
          .toSorted()
          .at(-1) ?? "";
      await truncate(join(files, newest), Math.floor((await stat(join(files, newest))).size * 0.9));
      await redis.restart();
    },
  },
  {
    name: "an older copy of its files restored",
    before: (redis, folder) => copyFiles(redis, join(folder, "appendonlydir"), join(folder, "yesterday")),
    lose: async (redis, folder) => {
      await redis.kill9();
      await rm(join(folder, "appendonlydir"), { recursive: true });
      await cp(join(folder, "yesterday"), join(folder, "appendonlydir"), { recursive: true });
      await redis.restart();
    },
  },
  { name: "FLUSHALL", before: async () => undefined, lose: async (redis) => void (await redis.client().flushall()) },
];

/** The audit files are the witness: a store that knows less than they do is held, and what it may have revived is dead. */
export const goneBack: Fault = {
  id: "F22",
  what: "Redis forgets revocations that it acknowledged: a cut append-only file, a restored copy, FLUSHALL",
  async run(form) {
    const promises = new Promises();
    const losses = form === "short" ? LOSSES.slice(0, 1) : LOSSES;
    for (const loss of losses) await oneLoss(loss, promises);
    return { figures: { losses: losses.length }, broken: promises.broken };
  },
};

async function oneLoss({ name, before, lose }: Loss, promises: Promises): Promise<void> {
  const auditDir = await mkdtemp(join(tmpdir(), "stint-audit-"));
  await using redis = await startRedis({ aof: true });
  const folder = join(redis.socket ?? "", "..");
  await using shop = await openShop({ redis, auditDir });
  const expect = (held: boolean, sentence: string): void => promises.expect(held, `${name}: ${sentence}`);
  const kept = await aToken(shop);
  await shop.broker.duties.runOnce();
  await before(redis, folder);
  const revoked: Secret[] = [];
  for (let count = 0; count < 5; count += 1) revoked.push(await aToken(shop));
  for (const token of revoked) await revoke(shop, token);
  await shop.broker.duties.runOnce();
  await shop.broker.abandon();
  await lose(redis, folder);
  await using next = await startBroker({
    redis,
    auditDir,
    masterKey: shop.broker.masterKey,
    url: shop.broker.url,
    documents: (url) => shopDocuments(shop.idp, url),
  });
  const again: Shop = { ...shop, broker: next, exchange: async () => next.services.requests.exchange(await orderOf(shop)) };
  await next.duties.runOnce();
  expect((await next.services.hold.show()).held, "nobody noticed");
  expect(!next.services.readiness().ready, "the broker says that it is ready");
  expect((await codeOf(again.exchange())) !== "ok", "something is issued");
  for (const token of [kept, ...revoked]) expect(!(await isHonoured(again, token)), "a token of before is honoured");
  // The copy may hold the lock of an exporter that is no more: it runs out after fifteen seconds.
  const clear = (): Promise<unknown> => next.services.hold.clear({ name: "ada", role: "admin" }, "restored, compared", origin());
  await eventually("an admin clears the hold", async () => (await codeOf(clear())) === "ok", 30_000);
  expect(await servesAgain(next, again), "nothing is issued after an admin has cleared the hold");
  for (const token of revoked) expect(!(await isHonoured(again, token)), "a revoked token is honoured after the hold");
  await rm(auditDir, { recursive: true, force: true });
}

async function orderOf(shop: Shop) {
  return { ...request("deploy"), evidence: await shop.evidence({ run_id: `${(runs += 1)}` }) };
}
let runs = 1_000_000;

async function servesAgain(broker: TestBroker, shop: Shop): Promise<boolean> {
  for (let tries = 0; tries < 20; tries += 1) {
    await broker.duties.runOnce();
    if ((await codeOf(shop.exchange())) === "ok") return true;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return false;
}

/** A copy of an append-only file that is whole: nothing is written while it is made. */
async function copyFiles(redis: TestRedis, from: string, to: string): Promise<void> {
  await redis.client().client("PAUSE", 10_000, "WRITE");
  await cp(from, to, { recursive: true });
  await redis.client().client("UNPAUSE");
}
