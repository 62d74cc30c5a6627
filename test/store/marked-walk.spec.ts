import { describe, expect, it } from "@jest/globals";
import { bucketOfSubject, type LeaseId } from "../../domain/ids.ts";
import type { MarkScope } from "../../store/api.ts";
import { openStore, type OpenedStore } from "../../store/open.ts";
import { fakeClock } from "../support/clock.ts";
import { eventually } from "../support/events.ts";
import { openOrder, storeClock } from "../support/orders.ts";
import { startRedis } from "../support/redis.ts";

const SAID = { action: "lease.ended", principal: "operator:ann" } as const;
const OUTSIDE = { state: "pending", issuer: "database", revocation: "immediate", keyId: undefined } as const;
const SUBJECT = "github:1";
const BUCKET = bucketOfSubject(SUBJECT);

/** Walks behind a mark as a broker does, and tells whom it met; `meanwhile` runs between two pages with those met for the first time. */
async function walk(store: OpenedStore, scope: MarkScope, at: number, meanwhile: (fresh: readonly LeaseId[]) => Promise<void>) {
  const met = new Set<LeaseId>();
  let cursor: string | undefined;
  for (let pages = 0; pages < 100; pages += 1) {
    const page = await store.revocations.endMarked(BUCKET, scope, at, SAID, 100, cursor);
    const fresh = page.endings.map(({ leaseId }) => leaseId).filter((id) => !met.has(id));
    for (const id of fresh) met.add(id);
    await meanwhile(fresh);
    cursor = page.nextCursor;
    if (cursor === undefined) return met;
  }
  throw new Error("the walk does not come to its end");
}

describe("the walk behind a mark", () => {
  it.each([150, 300, 500, 900])(
    "meets all %i leases of a workload while targets confirm the end of those before",
    async (count) => {
      await using redis = await startRedis();
      const clock = fakeClock();
      const store = await openStore({ url: redis.url, clock: storeClock(clock) });
      const all: LeaseId[] = [];
      for (let index = 0; index < count; index += 1) {
        clock.advance({ ms: 1 });
        const order = openOrder(clock, SUBJECT, OUTSIDE);
        await store.leases.open(order);
        await store.leases.activate(order.leaseId, { handle: "h", externalName: undefined });
        all.push(order.leaseId);
      }
      const scope = { kind: "workload", name: SUBJECT } as const;
      const at = await store.revocations.mark(BUCKET, scope, clock(), SAID);
      const met = await walk(store, scope, at, async (fresh) => {
        for (const id of fresh) {
          const due = await store.leases.claim(id);
          if (due !== undefined) await store.leases.settle(id, due.epoch, "revoked");
        }
      });
      expect(all.filter((id) => !met.has(id))).toEqual([]);
      expect((await store.leases.counts()).byState).toMatchObject({ active: 0, revoking: 0 });
      await store.close();
    },
    30_000,
  );

  it("meets all leases of a workload though Redis starts anew between two pages", async () => {
    await using redis = await startRedis({ aof: true });
    const clock = fakeClock();
    const store = await openStore({ url: redis.url, clock: storeClock(clock) });
    const orders = Array.from({ length: 900 }, () => openOrder(clock, SUBJECT, OUTSIDE));
    await Promise.all(orders.map((order) => store.leases.open(order)));
    const scope = { kind: "workload", name: SUBJECT } as const;
    const at = await store.revocations.mark(BUCKET, scope, clock() + 1, SAID);
    let pages = 0;
    const met = await walk(store, scope, at, async () => {
      if ((pages += 1) !== 4) return;
      await redis.restart();
      await eventually("Redis is back", () => store.ping().then(() => true));
    });
    expect(orders.filter(({ leaseId }) => !met.has(leaseId))).toEqual([]);
    await store.close();
  }, 30_000);

  it("meets all that it covers of those that are due in one instant, while others of that instant leave", async () => {
    await using redis = await startRedis();
    const clock = fakeClock();
    const store = await openStore({ url: redis.url, clock: storeClock(clock) });
    const [covered, spared]: [LeaseId[], LeaseId[]] = [[], []];
    for (let index = 0; index < 400; index += 1) {
      const grant = index % 4 === 0 ? "other" : "database";
      const order = openOrder(clock, SUBJECT, { ...OUTSIDE, grant });
      await store.leases.open(order);
      await store.leases.activate(order.leaseId, { handle: "h", externalName: undefined });
      (grant === "other" ? spared : covered).push(order.leaseId);
    }
    const scope = { kind: "grant", name: "database" } as const;
    const at = await store.revocations.mark(BUCKET, scope, clock(), SAID);
    const met = await walk(store, scope, at, async () => {
      for (const id of spared.splice(0, 10)) await store.leases.end(id, "released", SAID);
    });
    expect(covered.filter((id) => !met.has(id))).toEqual([]);
    expect(met.size).toBe(covered.length);
    await store.close();
  }, 30_000);
});
