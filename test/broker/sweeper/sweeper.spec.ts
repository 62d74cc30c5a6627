import { describe, expect, it, jest } from "@jest/globals";
import { DiesByItself, RetryableFailure, type Issuer } from "../../../domain/credential.ts";
import type { LeaseId } from "../../../domain/ids.ts";
import { origin, startBroker } from "../../support/broker.ts";
import { fakeClock } from "../../support/clock.ts";
import { openOrder, principalOf, freshEvidence } from "../../support/orders.ts";
import { DATABASE, openShop, request, shopDocuments, type Shop } from "../../support/shop.ts";
import { fileKind, testTarget } from "../../support/test-issuers.ts";

/** A grant at a named target, which says when it is well again. */
const AT_A_TARGET = `
---
kind: Target
name: shop-db
owner: team-platform
issuer: file
file: "x"
${DATABASE.replace("issuer: test", "target: shop-db")}`;
const drained = async (shop: Pick<Shop, "broker">): Promise<void> => {
  for (let more = true; more;) {
    more = (await shop.broker.sweep()).more;
    await shop.broker.settled();
  }
};

describe("the sweeper", () => {
  it("ends what has expired, at its expiry and not before", async () => {
    const clock = fakeClock();
    await using shop = await openShop({ clock });
    const issued = await shop.exchange();
    clock.advance({ minutes: 9, seconds: 59 });
    expect(await shop.broker.sweep()).toEqual({ expired: 0, claimed: 0, tasks: 0, more: false, cutShort: false });
    clock.advance({ seconds: 1 });
    expect(await shop.broker.sweep()).toMatchObject({ expired: 1, more: false });
    expect(await shop.broker.store.leases.get(issued.lease.id)).toMatchObject({ state: "revoked", endedBy: "expiry" });
    const expired = (await shop.broker.audit.records()).filter(({ action }) => action === "leases.expired");
    expect(expired).toMatchObject([{ leases: [issued.lease.id] }]);
  });

  it("tries a target that is down again and again, further apart, and revokes once it is back", async () => {
    const clock = fakeClock();
    await using target = await testTarget();
    await using shop = await openShop({ clock, issuers: [target.issuer], more: DATABASE, random: () => 0.999 });
    const issued = await shop.exchange({ grant: "database", ttlMs: 60_000 });
    target.goDown();
    clock.advance({ seconds: 61 });
    const waits: number[] = [];
    for (let attempt = 1; attempt <= 4; attempt += 1) {
      await drained(shop);
      expect(await shop.broker.store.leases.get(issued.lease.id)).toMatchObject({ state: "revoking", attempts: attempt });
      let waited = 0;
      while ((await shop.broker.store.leases.dueBuckets()).leases.length === 0) {
        clock.advance({ seconds: 1 });
        waited += 1;
      }
      waits.push(waited);
    }
    expect(waits).toEqual([4, 8, 16, 32]);
    target.heal();
    await drained(shop);
    expect(await target.alive()).toEqual([]);
    expect(await shop.broker.store.leases.get(issued.lease.id)).toMatchObject({ state: "revoked", endedBy: "expiry" });
  });

  it("tries what waits within a minute once a target answers again, however long it was away, and within twenty tries", async () => {
    const clock = fakeClock();
    await using place = await testTarget();
    await using shop = await openShop({ clock, kinds: [fileKind(place.issuer)], more: AT_A_TARGET });
    const leases: LeaseId[] = [];
    for (let made = 0; made < 3; made += 1) leases.push((await shop.exchange({ grant: "database", ttlMs: 60_000 })).lease.id);
    const pass = async (seconds: number): Promise<void> => {
      clock.advance({ seconds });
      await shop.broker.duties.runOnce();
      await drained(shop);
    };
    place.goDown();
    await pass(61);
    for (let minute = 0; minute < 60; minute += 1) await pass(60);
    const states = () => Promise.all(leases.map((id) => shop.broker.store.leases.get(id)));
    for (const lease of await states()) expect(lease).toMatchObject({ state: "revoking" });
    expect(Math.max(...(await states()).map((lease) => lease?.attempts ?? 0))).toBeLessThanOrEqual(20);
    place.heal();
    for (let seconds = 0; seconds < 60; seconds += 10) await pass(10);
    expect(await place.alive()).toEqual([]);
    for (const lease of await states()) expect(lease).toMatchObject({ state: "revoked" });
  });

  it("tries nothing of what waits while the broker is on hold, though the target answers again", async () => {
    const clock = fakeClock();
    await using place = await testTarget();
    await using shop = await openShop({ clock, kinds: [fileKind(place.issuer)], more: AT_A_TARGET });
    const { lease } = await shop.exchange({ grant: "database", ttlMs: 60_000 });
    const pass = async (): Promise<void> => {
      clock.advance({ seconds: 61 });
      await shop.broker.duties.runOnce();
      await drained(shop);
    };
    place.goDown();
    await pass();
    await shop.broker.store.hold.set({ action: "hold.set", principal: "broker", reason: "the store has gone back" });
    await pass();
    place.heal();
    for (let minute = 0; minute < 10; minute += 1) await pass();
    expect(await place.alive()).toEqual([lease.id]);
    await shop.broker.services.hold.clear({ name: "ada", role: "admin" }, "restored on purpose, INC-3", origin());
    for (let minute = 0; minute < 10; minute += 1) await pass();
    expect(await place.alive()).toEqual([]);
  });

  it("lists what stays unreachable for a day as stuck, and revokes it when it comes back", async () => {
    const clock = fakeClock();
    await using target = await testTarget();
    await using shop = await openShop({ clock, issuers: [target.issuer], more: DATABASE });
    const issued = await shop.exchange({ grant: "database" });
    target.goDown();
    clock.advance({ hours: 25 });
    await drained(shop);
    expect(await shop.broker.store.leases.get(issued.lease.id)).toMatchObject({ state: "revoking" });
    clock.advance({ hours: 25 });
    await drained(shop);
    expect((await shop.broker.services.leases.list({ state: "stuck" }, undefined, 10)).items).toMatchObject([{ id: issued.lease.id }]);
    target.heal();
    clock.advance({ minutes: 15, seconds: 1 });
    await drained(shop);
    expect(await shop.broker.store.leases.get(issued.lease.id)).toMatchObject({ state: "revoked" });
  });

  it("waits for what dies by itself, calls it revoked no sooner, and holds nothing against its target", async () => {
    const clock = fakeClock();
    await using target = await testTarget();
    const deadAt = clock() + 3_900_000;
    const timed: Issuer = {
      ...target.issuer,
      params: target.issuer.params,
      issue: (order, signal) => target.issuer.issue({ ...order, params: { role: "reader" } }, signal),
      revoke: async () => {
        if (clock() < deadAt) throw new DiesByItself("nobody holds the token: it expires at GitHub", deadAt);
        return "already_gone";
      },
    };
    await using shop = await openShop({ clock, issuers: [timed], more: DATABASE });
    const all = await Promise.all(Array.from({ length: 8 }, () => shop.exchange({ grant: "database", ttlMs: 60_000 })));
    clock.advance({ seconds: 61 });
    await drained(shop);
    const state = (id: LeaseId): Promise<unknown> => shop.broker.store.leases.get(id);
    for (const { lease } of all) {
      expect(await state(lease.id)).toMatchObject({
        state: "revoking",
        attempts: 1,
        lastError: expect.stringContaining("expires at GitHub"),
      });
    }
    clock.set(deadAt - 1000);
    await drained(shop);
    expect(await state(all[0]?.lease.id ?? "lease_")).toMatchObject({ state: "revoking", attempts: 1 });
    clock.set(deadAt + 1000);
    await drained(shop);
    for (const { lease } of all) expect(await state(lease.id)).toMatchObject({ state: "revoked" });
  });

  it("leaves a target alone for as long as it asks, within reason", async () => {
    const clock = fakeClock();
    await using target = await testTarget();
    let asked = 600_000;
    const busy: Issuer = {
      ...target.issuer,
      params: target.issuer.params,
      issue: (order, signal) => target.issuer.issue({ ...order, params: { role: "reader" } }, signal),
      revoke: () => Promise.reject(new RetryableFailure("asked to be left alone", { retryAfterMs: asked })),
    };
    await using shop = await openShop({ clock, issuers: [busy], more: DATABASE });
    const { lease } = await shop.exchange({ grant: "database", ttlMs: 60_000 });
    clock.advance({ seconds: 61 });
    await drained(shop);
    asked = 86_400_000;
    clock.advance({ seconds: 599 });
    await drained(shop);
    expect(await shop.broker.store.leases.get(lease.id)).toMatchObject({ attempts: 1 });
    clock.advance({ seconds: 2 });
    await drained(shop);
    expect(await shop.broker.store.leases.get(lease.id)).toMatchObject({ attempts: 2 });
    clock.advance({ seconds: 901 });
    await drained(shop);
    expect(await shop.broker.store.leases.get(lease.id)).toMatchObject({ attempts: 3 });
  });

  it("lets one dead target hold up nobody else", async () => {
    const clock = fakeClock();
    await using dead = await testTarget();
    await using well = await testTarget();
    const other = `${DATABASE.replaceAll("database", "cache").replace("issuer: test", "issuer: cache")}`;
    await using shop = await openShop({ clock, issuers: [dead.issuer, { ...well.issuer, kind: "cache" }], more: DATABASE + other });
    const lost = await Promise.all(Array.from({ length: 30 }, () => shop.exchange({ grant: "database" })));
    const healthy = await Promise.all(Array.from({ length: 5 }, () => shop.exchange({ grant: "cache" })));
    dead.goDown();
    clock.advance({ minutes: 11 });
    await drained(shop);
    expect(await well.alive()).toEqual([]);
    expect(await dead.alive()).toHaveLength(lost.length);
    expect(healthy).toHaveLength(5);
    // Its breaker opened: the target was not called thirty times.
    const tried = (await Promise.all(lost.map(async ({ lease }) => (await shop.broker.store.leases.get(lease.id))?.attempts ?? 0))).reduce(
      (sum, one) => sum + one,
      0,
    );
    expect(tried).toBeGreaterThanOrEqual(5);
    expect(tried).toBeLessThan(30);
    dead.heal();
    for (let turn = 0; turn < 4; turn += 1) {
      clock.advance({ minutes: 2 });
      await drained(shop);
    }
    expect(await dead.alive()).toEqual([]);
  });

  it("catches up after a long stop in bounded passes", async () => {
    const clock = fakeClock();
    await using shop = await openShop({ clock });
    const { store } = shop.broker;
    const orders = Array.from({ length: 600 }, (_, index) =>
      openOrder(clock, `github:${index}`, { principal: principalOf(`github:${index}`, freshEvidence(clock())) }),
    );
    for (const order of orders) expect(await store.leases.open(order)).toMatchObject({ outcome: "opened" });
    clock.advance({ days: 1 });
    let expired = 0;
    for (let more = true; more;) {
      const swept = await shop.broker.sweep();
      expired += swept.expired;
      more = swept.more;
    }
    expect(expired).toBe(600);
    expect((await store.leases.counts()).byState).toMatchObject({ revoked: 600 });
  });

  it("ends every due task of a workload in one pass, however many there are", async () => {
    const clock = fakeClock();
    await using shop = await openShop({ clock });
    for (let run = 0; run < 130; run += 1) await shop.exchange({ evidence: await shop.evidence({ run_id: `${run}` }) });
    clock.advance({ days: 2 });
    expect(await shop.broker.sweep()).toMatchObject({ expired: 130, tasks: 130, more: false });
  });

  it("begins the next pass at once where time alone cut one short", async () => {
    const clock = fakeClock();
    await using shop = await openShop({ clock });
    for (let index = 0; index < 200; index += 1) {
      const principal = principalOf(`github:${index}`, freshEvidence(clock()));
      expect(await shop.broker.store.leases.open(openOrder(clock, `github:${index}`, { principal }))).toMatchObject({ outcome: "opened" });
    }
    clock.advance({ days: 1 });
    let ms = 0;
    const time = jest.spyOn(performance, "now").mockImplementation(() => (ms += 30));
    try {
      const first = await shop.broker.sweep();
      expect(first).toMatchObject({ more: true, cutShort: true });
      expect(first.expired).toBeLessThan(200);
      await shop.broker.duties.runOnce(); // one tick
    } finally {
      time.mockRestore();
    }
    expect((await shop.broker.store.leases.counts()).byState).toMatchObject({ revoked: 200 });
  });

  it("shares its work with a second broker on the same store: every revoke has one effect", async () => {
    const clock = fakeClock();
    await using target = await testTarget();
    await using shop = await openShop({ clock, issuers: [target.issuer], more: DATABASE });
    await using second = await startBroker({
      clock,
      redis: shop.broker.redis,
      masterKey: shop.broker.masterKey,
      url: `http://127.0.0.1:${Number(new URL(shop.broker.url).port) + 1}`,
      issuers: [target.issuer],
      documents: (url) => shopDocuments(shop.idp, url) + DATABASE,
    });
    const issued = await Promise.all(Array.from({ length: 40 }, () => shop.exchange({ ...request("database") })));
    clock.advance({ minutes: 11 });
    await Promise.all([drained(shop), drained({ broker: second })]);
    expect(await target.alive()).toEqual([]);
    for (const { lease } of issued) expect(await target.deeds(lease.id)).toEqual(["make", "drop"]);
  });

  it("finishes what a broker left that died right after the target had made the credential", async () => {
    const clock = fakeClock();
    await using target = await testTarget();
    const { issuer } = target;
    let reached: () => void = () => undefined;
    const made = new Promise<void>((resolve) => (reached = resolve));
    const dying = {
      ...issuer,
      issue: async (...args: Parameters<typeof issuer.issue>) => {
        await issuer.issue(...args);
        reached();
        return new Promise<never>(() => undefined); // the process is gone: nothing more happens
      },
    };
    await using shop = await openShop({ clock, issuers: [dying], more: DATABASE });
    void shop.exchange({ grant: "database" }).catch(() => undefined);
    await made;
    expect(await target.alive()).toHaveLength(1);
    await using next = await startBroker({
      clock,
      redis: shop.broker.redis,
      masterKey: shop.broker.masterKey,
      issuers: [issuer],
      documents: (url) => shopDocuments(shop.idp, url) + DATABASE,
    });
    clock.advance({ seconds: 31 });
    await drained({ broker: next });
    expect(await target.alive()).toEqual([]);
  });
});
