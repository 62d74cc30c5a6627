import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { setTimeout as pause } from "node:timers/promises";
import type { LeaseId } from "../../../domain/ids.ts";
import { startRevocation } from "../../support/broker.ts";
import { readFeed, type FeedEvent, type FeedReader } from "../../support/feed-reader.ts";
import { openFeedShop, OTHER, SHIP } from "../../support/feed-shop.ts";
import { DEPLOY_KEY, request, type Shop } from "../../support/shop.ts";

const names = (lease: string) => (event: FeedEvent) =>
  event.event === "revoked" && (event.data["leases"] as readonly (readonly [string, number])[]).some(([id]) => id === lease);
const marks = (scope: string, name: string) => (event: FeedEvent) =>
  event.event === "mark" && event.data["scope"] === scope && event.data["name"] === name;

describe("the feed's stream", () => {
  let shop: Shop;
  const open: FeedReader[] = [];

  beforeAll(async () => {
    shop = await openFeedShop();
  });
  afterAll(async () => {
    for (const reader of open) reader.close();
    await shop[Symbol.asyncDispose]();
  });

  const connect = async (key: string, options: Partial<Parameters<typeof readFeed>[1]> = {}): Promise<FeedReader> => {
    const reader = await readFeed(shop.broker.url, { key, ...options });
    open.push(reader);
    return reader;
  };
  const issue = async (grant: string, claims: Readonly<Record<string, unknown>> = {}) =>
    shop.exchange({ ...request(grant), evidence: await shop.evidence({ run_id: `${Math.random()}`, ...claims }) });
  const end = async (lease: LeaseId): Promise<unknown> => startRevocation(shop.broker, { kind: "lease", name: lease });
  const mark = async (kind: "workload" | "grant" | "trust" | "issuer", name: string): Promise<unknown> =>
    startRevocation(shop.broker, { kind, name });

  it("begins with a reset where no position is given, then beats at least every two seconds", async () => {
    const reader = await connect(SHIP.key);
    expect(reader.response.headers["content-type"]).toBe("text/event-stream");
    expect(reader.response.headers["cache-control"]).toBe("no-store");
    expect((await reader.next(() => true)).event).toBe("reset");
    const first = await reader.next(({ event }) => event === "sync");
    const second = await reader.next(({ event, data }) => event === "sync" && Number(data["as_of"]) > Number(first.data["as_of"]), 2500);
    expect(Number(second.data["now"]) - Number(second.data["as_of"])).toBeLessThan(2000);
    expect(second.id).toMatch(/^[\w-]{70,4096}$/);
  });

  it("names a lease that ended, with the second its token ends, to the verifiers of its audience only", async () => {
    const [ship, other] = [await connect(SHIP.key), await connect(OTHER.key)];
    const mine = await issue("ship");
    const theirs = await issue("other");
    await end(mine.lease.id);
    await end(theirs.lease.id);
    const told = await ship.next(names(mine.lease.id));
    expect(told.data["leases"]).toContainEqual([mine.lease.id, Math.ceil(mine.lease.expiresAt / 1000)]);
    expect(told.id).toBeDefined();
    await other.next(names(theirs.lease.id));
    await other.next(({ event }) => event === "sync");
    expect(ship.events.some(names(theirs.lease.id))).toBe(false);
    expect(other.events.some(names(mine.lease.id))).toBe(false);
  });

  it("tells of marks: a workload, a trust and a grant by name, an issuer by what it comes to", async () => {
    const [ship, other] = [await connect(SHIP.key), await connect(OTHER.key)];
    const issued = await issue("ship", { repository_id: "777" });
    await mark("workload", issued.lease.subject);
    const told = await ship.next(marks("workload", issued.lease.subject));
    expect(Number(told.data["at"])).toBeGreaterThanOrEqual(issued.lease.openedAt);
    await mark("grant", "ship-more");
    await ship.next(marks("grant", "ship-more"));
    await mark("trust", "github");
    await Promise.all([ship, other].map((reader) => reader.next(marks("trust", "github"))));
    await mark("issuer", "jwt");
    await Promise.all([ship, other].map((reader) => reader.next(marks("all", ""))));
    expect(other.events.some(marks("grant", "ship-more"))).toBe(false);
    expect([...ship.events, ...other.events].some(({ data }) => data["scope"] === "issuer")).toBe(false);
  });

  it("goes on from a position, by query or by Last-Event-ID, with what happened meanwhile and no reset", async () => {
    const before = await connect(SHIP.key);
    const first = await before.next(({ event }) => event === "sync");
    before.close();
    const gone = [await issue("ship"), await issue("ship-more")];
    for (const { lease } of gone) await end(lease.id);
    for (const how of [{ position: first.id }, { lastEventId: first.id ?? "" }]) {
      const after = await connect(SHIP.key, how);
      for (const { lease } of gone) await after.next(names(lease.id));
      await after.next(({ event }) => event === "sync");
      expect(after.events.some(({ event }) => event === "reset")).toBe(false);
      // Until it has caught up nothing claims to be fresher than its position was.
      for (const { event, data } of after.events)
        if (event === "revoked") expect(Number(data["as_of"])).toBeLessThanOrEqual(Number(first.data["as_of"]));
    }
  });

  it("resets what bears a position of another audience, of another store, or none at all", async () => {
    const other = await connect(OTHER.key);
    const theirs = (await other.next(({ event }) => event === "sync")).id;
    for (const position of [theirs, "AAAA", `${theirs}AAAA`]) {
      const reader = await connect(SHIP.key, { position });
      expect((await reader.next(() => true)).event).toBe("reset");
    }
  });

  it("refuses strangers, verifiers with a wrong key, and a request that names no instance", async () => {
    await expect(readFeed(shop.broker.url, { key: "ship-api:wrong" })).rejects.toMatchObject({ status: 401 });
    await expect(readFeed(shop.broker.url, { key: "nobody" })).rejects.toMatchObject({ status: 401 });
    await expect(readFeed(shop.broker.url, { key: SHIP.key, instance: "a b" })).rejects.toMatchObject({ status: 400 });
    await expect(readFeed(shop.broker.url, { key: SHIP.key, maxStaleness: 0 })).rejects.toMatchObject({ status: 400 });
    await expect(readFeed(shop.broker.url, { key: SHIP.key, position: "not a position" })).rejects.toMatchObject({ status: 400 });
  });

  it("is there for a verifier that introspects, too", async () => {
    const reader = await connect(`deploy-api:${DEPLOY_KEY}`);
    const issued = await issue("deploy");
    await end(issued.lease.id);
    await reader.next(names(issued.lease.id));
  });

  it("does nothing at all once nobody is connected", async () => {
    for (const reader of open.splice(0)) reader.close();
    await pause(50);
    expect(shop.broker.services.feed.stats()).toEqual({ subscribers: 0, lagMs: undefined });
  });
});
