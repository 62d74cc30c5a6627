import { describe, expect, it } from "@jest/globals";
import { bucketOfSubject, type RevocationId } from "../../../domain/ids.ts";
import type { OpenedStore } from "../../../store/open.ts";
import { origin, startBroker } from "../../support/broker.ts";
import { eventually } from "../../support/events.ts";
import { fakeClock } from "../../support/clock.ts";
import { openOrder } from "../../support/orders.ts";
import { openShop, shopDocuments } from "../../support/shop.ts";

const SUBJECT = "github:456789";
const OUTSIDE = { state: "pending", issuer: "database", revocation: "immediate", keyId: undefined } as const;
type EndMarked = OpenedStore["revocations"]["endMarked"];

/** A shop whose clean-up asks `before` each of its scripts in the bucket of the leases, told which one it is. */
async function shopWith(before: (page: number) => Promise<void> | void) {
  const clock = fakeClock();
  let pages = 0;
  const shop = await openShop({
    clock,
    wrapStore: (store) => {
      const endMarked: EndMarked = async (...asked) => {
        if (asked[0] === bucketOfSubject(SUBJECT)) await before((pages += 1));
        return store.revocations.endMarked(...asked);
      };
      return { ...store, revocations: { ...store.revocations, endMarked } };
    },
  });
  const obtain = async (count: number, change: Partial<ReturnType<typeof openOrder>> = {}): Promise<void> => {
    const orders = Array.from({ length: count }, () => openOrder(clock, SUBJECT, change));
    for (const reply of await Promise.all(orders.map((order) => shop.broker.store.leases.open(order))))
      expect(reply.outcome).toBe("opened");
  };
  const start = () =>
    shop.broker.services.revocations.start({
      selector: { kind: "grant", name: "deploy" },
      reason: "INC-412",
      lockMs: undefined,
      operator: { name: "sam", role: "responder" },
      origin: origin(),
    });
  const stateOf = async (id: RevocationId) => shop.broker.services.revocations.get(id);
  const resume = async (): Promise<void> => {
    await shop.broker.duties.runOnce();
    await shop.broker.settled();
  };
  return { shop, clock, obtain, start, stateOf, resume };
}

describe("a revocation that is gone on with after it broke off", () => {
  it("counts and names each lease once, those that wait for their target too", async () => {
    const { shop, clock, obtain, start, stateOf, resume } = await shopWith((page) => {
      if (page === 4) throw new Error("the broker died here");
    });
    await using _ = shop;
    await obtain(40, OUTSIDE);
    await obtain(320);
    const { id } = await start();
    await shop.broker.settled();
    const interrupted = await stateOf(id);
    expect(interrupted.state).toBe("cleaning");
    expect(interrupted.matched).toBeGreaterThan(150);
    expect(interrupted.matched).toBeLessThan(360);
    clock.advance({ seconds: 11 });
    await resume();
    const done = await stateOf(id);
    expect(done).toMatchObject({ state: "done", matched: 360, ended: 320, receipt: { settled: false, more: 0 } });
    expect(done.receipt.leases).toHaveLength(360);
  });
});

describe("a revocation that is at work", () => {
  it("is left alone by other brokers while it gets on, however long ago it began, and may be gone on with by two", async () => {
    let go: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (go = resolve));
    let asked = 0;
    const { shop, clock, obtain, start, stateOf } = await shopWith(async (page) => {
      asked = page;
      if (page === 2) clock.advance({ seconds: 9 });
      if (page === 3) await held;
    });
    await using one = shop;
    const { redis, masterKey, url } = one.broker;
    await using two = await startBroker({ clock, redis, masterKey, documents: shopDocuments(one.idp, url) });
    await obtain(320);
    const { id } = await start();
    await eventually("its third script", () => asked === 3);
    clock.advance({ seconds: 9 });
    await two.duties.runOnce();
    await two.settled();
    expect((await stateOf(id)).state).toBe("cleaning");

    clock.advance({ seconds: 2 });
    await two.duties.runOnce();
    await two.settled();
    const totals = { state: "done", matched: 320, ended: 320, receipt: { settled: true, more: 0 } };
    expect(await stateOf(id)).toMatchObject(totals);
    go();
    await one.broker.settled();
    const done = await stateOf(id);
    expect(done).toMatchObject(totals);
    expect(done.receipt.leases).toHaveLength(320);
  });
});
