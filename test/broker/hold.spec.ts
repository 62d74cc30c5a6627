import { describe, expect, it } from "@jest/globals";
import { createHold, goneBack, type HoldParts } from "../../broker/hold.ts";
import { origin, startBroker } from "../support/broker.ts";
import { fakeClock } from "../support/clock.ts";
import { DATABASE, openShop, shopDocuments } from "../support/shop.ts";
import { testTarget } from "../support/test-issuers.ts";

const admin = { name: "ada", role: "admin" } as const;
const zeros = Array.from({ length: 64 }, () => 0);

describe("a store that has gone back", () => {
  it("puts the broker on hold: nothing is issued, targets wait, ending goes on, until an admin clears it", async () => {
    const clock = fakeClock();
    await using target = await testTarget();
    await using shop = await openShop({ clock, issuers: [target.issuer], more: DATABASE });
    const [token, user] = [await shop.exchange(), await shop.exchange({ grant: "database" })];
    const witness = { storeId: shop.broker.store.id, sequences: zeros.map(() => 1_000) };
    await using broker = await startBroker({
      clock,
      redis: shop.broker.redis,
      masterKey: shop.broker.masterKey,
      issuers: [target.issuer],
      documents: (url) => shopDocuments(shop.idp, url) + DATABASE,
      witness,
    });
    expect(await broker.services.hold.show()).toMatchObject({ held: true, reason: expect.stringContaining("has gone back") });
    expect(broker.services.readiness()).toMatchObject({
      ready: false,
      checks: expect.arrayContaining([expect.objectContaining({ name: "hold", status: "fail" })]),
    });
    await shop.broker.duties.runOnce();
    await expect(shop.exchange()).rejects.toMatchObject({ code: "on_hold" });
    expect(await broker.store.leases.isLive(token.lease.id, undefined)).toBe(false);
    await broker.services.leases.release(user.lease.id, user.credential.token, origin()).catch(() => undefined);
    clock.advance({ minutes: 1 });
    await broker.sweep();
    await broker.settled();
    expect(await target.alive()).toEqual([user.lease.id]);
    expect((await broker.services.hold.show()).waiting.map(({ id }) => id)).toEqual([user.lease.id]);

    await expect(broker.services.hold.clear(admin, " ", origin())).rejects.toMatchObject({ code: "invalid_request" });
    expect(await broker.services.hold.clear(admin, "restored on purpose, INC-3", origin())).toMatchObject({ held: false, waiting: [] });
    const cleared = async (): Promise<number> => (await broker.audit.records()).filter(({ action }) => action === "hold.cleared").length;
    const before = await cleared();
    expect(await broker.services.hold.clear(admin, "once more, by mistake", origin())).toMatchObject({ held: false });
    expect(await cleared()).toBe(before);
    clock.advance({ minutes: 1 });
    await broker.sweep();
    await broker.settled();
    expect(await target.alive()).toEqual([]);
    await shop.broker.duties.runOnce();
    expect(await shop.exchange()).toMatchObject({ grant: "deploy" });
    await broker.duties.runOnce();
    expect(broker.services.readiness().ready).toBe(true);
  });
});

describe("a hold that failed half-way", () => {
  it("is set again until every bucket has its mark, though the marks themselves let the store catch up with its files", async () => {
    const clock = fakeClock();
    await using shop = await openShop({ clock });
    const { store } = shop.broker;
    const records = await store.audit.states();
    const witness = { storeId: store.id, sequences: records.map(({ lastSeq }) => lastSeq + 1) };
    let failures = 1;
    const marked = new Set<number>();
    const failing = {
      ...store,
      revocations: {
        ...store.revocations,
        mark: async (...args: Parameters<typeof store.revocations.mark>) => {
          if (args[0] === 40 && failures-- > 0) throw new Error("the store went away");
          marked.add(args[0]);
          return store.revocations.mark(...args);
        },
      },
    };
    const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
    const events = { publish: () => undefined } as unknown as HoldParts["events"];
    const hold = createHold(
      { store: failing, now: clock, log: quiet, events, issuers: new Map(), retentionMs: () => 60_000 },
      { witness: async () => witness, accept: async () => undefined },
    );
    await expect(hold.examine()).rejects.toThrow("went away");
    await hold.refresh();
    await hold.examine();
    expect(marked.size).toBe(64);
    marked.clear();
    await hold.examine();
    expect(marked.size).toBe(0);
  });
});

describe("store and audit files", () => {
  it.each([
    ["are of one story", { storeId: "a", sequences: [5, 5] }, { storeId: "a", sequences: [5, 4] }, undefined],
    ["are of a first start", { storeId: "a", sequences: [] }, { storeId: undefined, sequences: [] }, undefined],
    ["tell of another store", { storeId: "a", sequences: [5] }, { storeId: "b", sequences: [5] }, "another store"],
    [
      "tell of records that the store does not know",
      { storeId: "a", sequences: [5, 3] },
      { storeId: "a", sequences: [5, 4] },
      "bucket 1 has given out 3",
    ],
  ])("%s", (_name, store, witness, why) => {
    const found = goneBack(store, witness);
    if (why === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(why);
  });
});
