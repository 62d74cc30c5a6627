import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { newId } from "../../../domain/ids.ts";
import { origin } from "../../support/broker.ts";
import { fakeClock, type FakeClock } from "../../support/clock.ts";
import { DATABASE, openShop, type Shop } from "../../support/shop.ts";
import { fileKind, opens, testTarget } from "../../support/test-issuers.ts";

const admin = { name: "admin", role: "admin" } as const;
const target = (file: string): string => `
---
kind: Target
name: shop-db
owner: team-platform
issuer: file
file: "${file}"
`;
const GRANT = DATABASE.replace("issuer: test", "target: shop-db");

let place: Awaited<ReturnType<typeof testTarget>>;
let clock: FakeClock;
let shop: Shop;
beforeEach(async () => {
  clock = fakeClock("2026-03-02T12:00:00Z");
  place = await testTarget();
  shop = await openShop({ clock, kinds: [fileKind(place.issuer)], more: target(place.file) + GRANT });
});
afterEach(async () => {
  await shop[Symbol.asyncDispose]();
  await place[Symbol.asyncDispose]();
});

const targets = () => shop.broker.services.targets;
const reconcile = (mode: "done" | "shown" = "done") => targets().reconcile("shop-db", mode, admin, "looking", origin());
const actions = async (): Promise<readonly string[]> => (await shop.broker.audit.records()).map(({ action }) => action);
const lease = (id: string) => shop.broker.store.leases.get(id as never);
async function issue() {
  const task = await shop.broker.services.tasks.open({
    evidence: await shop.evidence(),
    purpose: undefined,
    parent: undefined,
    ttlMs: undefined,
    heartbeatMs: undefined,
    idempotency: undefined,
    origin: origin(),
  });
  const issued = await shop.broker.services.tasks.credential({
    taskId: task.task.id,
    taskToken: task.taskToken,
    grant: "database",
    scope: [],
    ttlMs: undefined,
    purpose: "",
    environment: "",
    resource: "",
    idempotency: undefined,
    origin: origin(),
  });
  return { ...issued, taskToken: task.taskToken };
}

describe("comparing a target with the store", () => {
  it("ends what no lease wants, and leaves what one does", async () => {
    const kept = await issue();
    const unknown = newId("lease", clock());
    await place.make(unknown);
    expect(await reconcile()).toMatchObject({ mode: "done", seen: 2, orphaned: 1, orphans: [unknown], missed: 0, failed: 0 });
    expect(await place.alive()).toEqual([kept.lease.id]);
    expect(await opens(place, kept.credential.token.reveal())).toBe(true);
    expect(await actions()).toContain("orphan.ended");
    expect(await reconcile()).toMatchObject({ seen: 1, orphaned: 0 });
  });

  it("ends what a late actor made again after its lease was over", async () => {
    const { lease: over, taskToken } = await issue();
    await shop.broker.services.leases.release(over.id, taskToken, origin());
    await shop.broker.settled();
    await place.make(over.id);
    expect(await reconcile()).toMatchObject({ orphaned: 1, orphans: [over.id] });
    expect(await place.alive()).toEqual([]);
  });

  it("ends a lease whose thing somebody removed, and settles it as already gone", async () => {
    const { lease: removed } = await issue();
    const kept = await issue();
    await place.removeBehindOurBack(removed.id);
    expect(await reconcile()).toMatchObject({ missed: 0 }); // too young to tell from one that was just being made
    clock.advance({ minutes: 2 });
    expect(await reconcile()).toMatchObject({ missed: 1, missing: [removed.id] });
    await shop.broker.sweep();
    await shop.broker.settled();
    expect(await lease(removed.id)).toMatchObject({ state: "revoked" });
    expect(await lease(kept.lease.id)).toMatchObject({ state: "active" });
  });

  it("says what it would do, and does nothing, when it is only asked to show", async () => {
    const unknown = newId("lease", clock());
    await place.make(unknown);
    expect(await reconcile("shown")).toMatchObject({ mode: "shown", orphans: [unknown] });
    expect(await place.alive()).toEqual([unknown]);
  });

  it("works with an empty store: what is unknown goes, what others made stays", async () => {
    await issue();
    await shop.broker.redis.client().flushall();
    await expect(reconcile()).resolves.toMatchObject({ orphaned: 1 });
    expect(await place.alive()).toEqual([]);
  });

  it("counts an orphan that cannot be ended, and tries again", async () => {
    await place.make(newId("lease", clock()));
    place.fail("revoke", "before");
    expect(await reconcile()).toMatchObject({ orphaned: 1, failed: 1 });
    expect(await reconcile()).toMatchObject({ orphaned: 1, failed: 0 });
    expect(await place.alive()).toEqual([]);
  });

  it("is said to be impossible where nothing can be listed", async () => {
    await expect(targets().reconcile("nowhere", "done", admin, "x", origin())).rejects.toMatchObject({ code: "not_found" });
  });
});

describe("those who compare at once", () => {
  it("share one run; but what a person wants done is not taken for what was only shown", async () => {
    const unknown = newId("lease", clock());
    await place.make(unknown);
    const [shown, done, again] = await Promise.all([reconcile("shown"), reconcile("done"), reconcile("done")]);
    expect([shown.mode, done.mode, again.mode]).toEqual(["shown", "done", "done"]);
    expect(again).toBe(done);
    expect(await place.alive()).toEqual([]);
  });

  it("call nothing an orphan that ended with its lease while they looked", async () => {
    const { lease: over, taskToken } = await issue();
    place.fail("revoke", "after"); // gone there, and the lease not yet settled
    await shop.broker.services.leases.release(over.id, taskToken, origin());
    await shop.broker.settled();
    await shop.broker.store.leases.force(over.id, "ann", "INC-1");
    const listed = {
      ...place.issuer,
      list: async function* () {
        yield over.id;
      },
    };
    await using other = await openShop({
      clock,
      kinds: [fileKind(listed)],
      redis: shop.broker.redis,
      masterKey: shop.broker.masterKey,
      more: target(place.file) + GRANT,
    });
    expect(await other.broker.services.targets.reconcile("shop-db", "done", admin, "x", origin())).toMatchObject({ seen: 1, orphaned: 0 });
    expect(await actions()).not.toContain("orphan.ended");
  });
});

describe("an orphan that cannot be ended", () => {
  it("keeps nobody from issuing, and is tried again soon", async () => {
    const unknown = newId("lease", clock());
    await place.make(unknown);
    place.fail("revoke", "permanent", 2);
    await expect(issue()).resolves.toMatchObject({ issuer: "shop-db" });
    const attend = async (): Promise<void> => {
      await shop.broker.duties.runOnce();
      await shop.broker.settled();
    };
    await attend();
    expect(await place.alive()).toContain(unknown);
    clock.advance({ seconds: 31 });
    await attend();
    clock.advance({ seconds: 31 });
    await attend();
    expect(await place.alive()).not.toContain(unknown);
  });
});

describe("a store that has gone back", () => {
  it("is noticed right before a comparison, which then does nothing unasked", async () => {
    const unknown = newId("lease", clock());
    await place.make(unknown);
    const { id: storeId } = shop.broker.store;
    await using next = await openShop({
      clock,
      redis: shop.broker.redis,
      masterKey: shop.broker.masterKey,
      kinds: [fileKind(place.issuer)],
      more: target(place.file) + GRANT,
      witness: { storeId, sequences: [] },
    });
    next.broker.audit.witnessed({ storeId, sequences: Array.from({ length: 64 }, () => 1_000_000) });
    await next.broker.duties.runOnce();
    await next.broker.settled();
    expect(await place.alive()).toEqual([unknown]);
    expect(next.broker.services.targets.list()).toMatchObject([{ findings: { mode: "shown", orphans: [unknown] } }]);
    expect(await next.broker.services.hold.show()).toMatchObject({ held: true });
    await next.broker.services.targets.reconcile("shop-db", "done", admin, "INC-1", origin());
    expect(await place.alive()).toEqual([]);
    expect(await next.broker.services.hold.show()).toMatchObject({ held: false });
  });
});

describe("a target that was just opened", () => {
  it("is compared before anything is issued there, so that leftovers of a crash are gone first", async () => {
    const unknown = newId("lease", clock());
    await place.make(unknown);
    const { lease: fresh } = await issue();
    expect(await place.alive()).toEqual([fresh.id]);
  });

  it("that cannot be reached gives nothing, opens no lease, and other issuers do not feel it", async () => {
    place.goDown();
    await expect(issue()).rejects.toMatchObject({ code: "issuer_unavailable" });
    expect((await shop.broker.store.leases.counts()).opened).toBe(0);
    await expect(shop.exchange({ grant: "deploy" })).resolves.toMatchObject({ issuer: "jwt" });
    place.heal();
    await expect(issue()).resolves.toMatchObject({ issuer: "shop-db" });
  });

  it("that fails five times in a row is left alone for a while, without a lease for each that asks", async () => {
    await issue();
    place.fail("issue", "before", 5);
    for (let count = 0; count < 5; count += 1) await expect(issue()).rejects.toMatchObject({ code: "issuer_unavailable" });
    const { opened } = await shop.broker.store.leases.counts();
    await expect(issue()).rejects.toThrow("left alone for a moment");
    expect((await shop.broker.store.leases.counts()).opened).toBe(opened);
    const trouble = { at: clock(), what: "issue", error: "RetryableFailure: the target did not answer" };
    expect(targets().list()).toMatchObject([{ name: "shop-db", state: "left_alone", trouble }]);
    clock.advance({ seconds: 16 });
    expect(targets().list()).toMatchObject([{ state: "failing", trouble }]); // nobody has seen it work since
    await expect(issue()).resolves.toMatchObject({ issuer: "shop-db" });
    expect(targets().list()).toMatchObject([{ state: "open", trouble: undefined }]);
  });

  it("that fails to end what is due says so, and how many wait there", async () => {
    const issued = [];
    for (let count = 0; count < 8; count += 1) issued.push(await issue());
    place.goDown();
    clock.advance({ hours: 2 });
    await shop.broker.sweep();
    await shop.broker.settled();
    clock.advance({ seconds: 61 });
    await shop.broker.sweep();
    await shop.broker.settled();
    const [down] = targets().list();
    expect(down).toMatchObject({ state: "left_alone", ending: 0, trouble: { what: "revoke" } });
    expect(down?.waiting).toBeGreaterThan(0);
    place.heal();
    for (let turn = 0; turn < 8; turn += 1) {
      clock.advance({ minutes: 16 });
      await shop.broker.sweep();
      await shop.broker.settled();
    }
    expect(await place.alive()).toEqual([]);
    expect(targets().list()).toMatchObject([{ state: "open", waiting: 0, trouble: undefined }]);
  });
});

describe("a store that is emptied beneath a running broker", () => {
  it("shows at once what would be ended at targets, and is used again without a restart", async () => {
    const attend = async (): Promise<void> => {
      await shop.broker.duties.runOnce();
      await shop.broker.settled();
    };
    await attend();
    const { lease: forgotten } = await issue();
    await shop.broker.redis.client().flushall();
    // as the witness does, once it has compared the store with the audit files
    await shop.broker.store.hold.set({ action: "hold.set", principal: "broker", reason: "the store has gone back" });
    clock.advance({ seconds: 11 });
    await attend();
    expect(targets().list()).toMatchObject([{ findings: { mode: "shown", orphans: [forgotten.id] } }]);
    expect(await place.alive()).toEqual([forgotten.id]);
    await reconcile();
    expect(await shop.broker.services.hold.show()).toMatchObject({ held: false });
    expect(await place.alive()).toEqual([]);
    clock.advance({ seconds: 11 });
    await attend();
    await expect(issue()).resolves.toMatchObject({ issuer: "shop-db" });
    await expect(shop.exchange({ grant: "deploy" })).resolves.toMatchObject({ issuer: "jwt" });
    expect(await shop.broker.redis.client().hget("stint:{meta}", "id")).toBe(shop.broker.store.id);
  });
});
