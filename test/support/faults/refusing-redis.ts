import { openStore } from "../../../store/open.ts";
import { startCluster } from "../cluster.ts";
import { fakeClock } from "../clock.ts";
import { eventually } from "../events.ts";
import { openOrder, storeClock } from "../orders.ts";
import { startRedis, type TestRedis } from "../redis.ts";
import { openShop, type Shop } from "../shop.ts";
import { aToken, codeOf, isHonoured, revoke } from "./asking.ts";
import { Promises, type Fault } from "./fault.ts";

type Call = readonly [command: string, ...args: string[]];

interface Ill {
  readonly name: string;
  readonly spoil: readonly Call[];
  readonly mend: readonly Call[];
  /** Whether what is asked meanwhile must be refused; otherwise it may succeed. */
  readonly refuses: boolean;
}

const PASSWORD = "another-password-than-ours";

/** Each is undone by an operator of Redis; nobody touches the broker. */
const ILLS: readonly Ill[] = [
  {
    name: "READONLY",
    spoil: [
      ["REPLICAOF", "127.0.0.1", "1"],
      ["CONFIG", "SET", "replica-serve-stale-data", "yes"],
    ],
    mend: [["REPLICAOF", "NO", "ONE"]],
    refuses: true,
  },
  {
    name: "NOAUTH",
    spoil: [
      ["CONFIG", "SET", "requirepass", PASSWORD],
      ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"],
    ],
    mend: [["CONFIG", "SET", "requirepass", ""]],
    refuses: true,
  },
  { name: "SCRIPT FLUSH", spoil: [["SCRIPT", "FLUSH"]], mend: [], refuses: false },
  { name: "CLIENT KILL", spoil: [["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]], mend: [], refuses: false },
  { name: "CLIENT PAUSE", spoil: [["CLIENT", "PAUSE", "1500", "ALL"]], mend: [], refuses: false },
];

/** Errors that Redis itself answers with. */
export const refusingRedis: Fault = {
  id: "F10",
  what: "READONLY, NOAUTH, SCRIPT FLUSH, CLIENT KILL, CLIENT PAUSE, a record of another type, and a Cluster that refuses keys of two slots",
  async run(form) {
    const promises = new Promises();
    const asked = form === "short" ? 3 : 30;
    await using redis = await startRedis();
    await using shop = await openShop({ redis });
    const revoked = await aToken(shop);
    await revoke(shop, revoked);
    const figures: Record<string, string> = {};
    for (const { name, spoil, mend, refuses } of ILLS) {
      const admin = redis.client();
      for (const [command, ...args] of spoil) await admin.call(command, ...args);
      const codes = new Set<string>();
      for (let count = 0; count < asked; count += 1) codes.add(await codeOf(aToken(shop)));
      figures[name] = [...codes].join(" ");
      const fitting = refuses ? ["store_unavailable"] : ["ok", "store_unavailable"];
      promises.expect(
        [...codes].every((code) => fitting.includes(code)),
        `${name}: ${figures[name]}`,
      );
      for (const [command, ...args] of mend) await admin.call(command, ...args);
      await eventually(`${name} is over`, async () => (await codeOf(aToken(shop))) === "ok", 5_000);
      promises.expect(!(await isHonoured(shop, revoked)), `${name}: a revoked token is honoured`);
    }
    await poison(shop, redis, promises);
    figures["cluster"] = await severalSlots();
    promises.expect(figures["cluster"] === "ok", `a Cluster refused a script: ${figures["cluster"]}`);
    return { figures, broken: promises.broken };
  },
};

/** A lease's key holds a list: whoever asks for it hears 503, everybody else is served. */
async function poison(shop: Shop, redis: TestRedis, promises: Promises): Promise<void> {
  const [poisoned, other] = [await shop.exchange(), await shop.exchange({ evidence: await shop.evidence({ run_id: "another" }) })];
  const [key = ""] = await redis.client().keys(`stint:*:l:${poisoned.lease.id.slice("lease_".length)}`);
  await redis.client().del(key);
  await redis.client().lpush(key, "x");
  promises.expect((await codeOf(isHonoured(shop, poisoned.credential.token))) === "store_unavailable", "a poisoned record was believed");
  promises.expect(await isHonoured(shop, other.credential.token), "a poisoned record harms another lease");
  promises.expect((await codeOf(aToken(shop))) === "ok", "nothing is issued beside a poisoned record");
}

/** Every script declares keys of one slot; two would be answered CROSSSLOT. */
async function severalSlots(): Promise<string> {
  await using cluster = await startCluster();
  const clock = fakeClock();
  const store = await openStore({ url: cluster.url, clock: storeClock(clock) });
  const audit = { action: "revocation.started", principal: "test" } as const;
  try {
    return await codeOf(
      (async () => {
        for (let subject = 0; subject < 64; subject += 1) {
          const reply = await store.leases.open(openOrder(clock, `github:${subject}`));
          if (reply.outcome !== "opened") throw new Error(reply.outcome);
          await store.leases.end(reply.lease.id, "revoked", audit);
          await store.tasks.end(reply.task.id, "complete", "success", audit, 60_000);
        }
        await store.revocations.mark(0, { kind: "all" }, clock(), audit);
      })(),
    );
  } finally {
    await store.close();
  }
}
