import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { createServer, request as httpRequest, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Follower } from "../../../broker/feed/follower.ts";
import { Hub } from "../../../broker/feed/hub.ts";
import { decodePosition, encodePosition } from "../../../broker/feed/position.ts";
import type { LeaseId } from "../../../domain/ids.ts";
import { BUCKETS, newId, subjectBits } from "../../../domain/ids.ts";
import type { FeedEntry, FeedPage, FeedStore } from "../../../store/api.ts";
import { startBrokerProcess } from "../../support/broker-process.ts";
import { startBroker, startRevocation, type TestBroker } from "../../support/broker.ts";
import { eventually } from "../../support/events.ts";
import { readFeed, type FeedEvent, type FeedReader } from "../../support/feed-reader.ts";
import { FEED_DOCUMENTS, openFeedShop, SHIP } from "../../support/feed-shop.ts";
import { freePort } from "../../support/redis.ts";
import { request, shopDocuments, type Shop } from "../../support/shop.ts";

const names = (lease: string) => (event: FeedEvent) => event.event === "revoked" && JSON.stringify(event.data).includes(lease);
const isSync = ({ event }: FeedEvent): boolean => event === "sync";

describe("the feed in bad weather", () => {
  let shop: Shop;
  const open: FeedReader[] = [];
  beforeAll(async () => {
    shop = await openFeedShop();
  });
  afterAll(async () => {
    for (const reader of open) reader.close();
    await shop[Symbol.asyncDispose]();
  });
  const connect = async (url: string, options: Partial<Parameters<typeof readFeed>[1]> = {}): Promise<FeedReader> => {
    const reader = await readFeed(url, { key: SHIP.key, ...options });
    open.push(reader);
    return reader;
  };
  const issue = async () => shop.exchange({ ...request("ship"), evidence: await shop.evidence({ run_id: `${Math.random()}` }) });
  const end = (lease: LeaseId): Promise<unknown> => startRevocation(shop.broker, { kind: "lease", name: lease });
  const second = (): Promise<TestBroker> =>
    startBroker({
      redis: shop.broker.redis,
      masterKey: shop.broker.masterKey,
      documents: (url) => shopDocuments(shop.idp, url) + FEED_DOCUMENTS,
    });

  it("a hint that is lost costs a second at most", async () => {
    const deaf = await second();
    Object.assign(deaf.store.feed, { hints: async () => async () => undefined });
    const reader = await connect(deaf.url);
    await reader.next(isSync);
    const issued = await issue();
    const before = performance.now();
    await end(issued.lease.id);
    await reader.next(names(issued.lease.id), 2_500);
    expect(performance.now() - before).toBeLessThan(2_500);
    reader.close();
    await deaf[Symbol.asyncDispose]();
  });

  it("a broker that is killed in the middle: its verifiers go on at another one, and miss nothing", async () => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const folder = await mkdtemp(join(tmpdir(), "stint-feed-"));
    await writeFile(join(folder, "policy.yaml"), shopDocuments(shop.idp, url) + FEED_DOCUMENTS);
    const child = await startBrokerProcess({
      redisUrl: shop.broker.redis.url,
      url,
      policyPath: folder,
      masterKey: shop.broker.masterKey.toString("base64"),
      target: `${folder}/target`,
      operators: "",
    });
    const reader = await connect(url);
    await reader.next(isSync);
    const [before, during] = [await issue(), await issue()];
    await end(before.lease.id);
    await reader.next(names(before.lease.id));
    child.kill("SIGKILL");
    await reader.closed;
    await end(during.lease.id);
    const next = await connect(shop.broker.url, { position: reader.lastId });
    await next.next(names(during.lease.id));
    await next.next(isSync);
    expect(next.events.some(({ event }) => event === "reset")).toBe(false);
    await rm(folder, { recursive: true });
  });

  it("a feed that was trimmed past a position, or a store that has gone back: a reset", async () => {
    const reader = await connect(shop.broker.url);
    const { id = "" } = await reader.next(isSync);
    reader.close();
    const issued = await issue();
    await end(issued.lease.id);
    const more = await issue();
    await end(more.lease.id);
    const client = shop.broker.redis.client();
    const bucket = subjectBits("github:456789") % BUCKETS;
    await client.xtrim(`stint:{b${bucket.toString(16).padStart(2, "0")}}:f`, "MAXLEN", 1);
    const other = await second(); // which remembers nothing
    const late = await connect(other.url, { position: id });
    expect((await late.next(() => true)).event).toBe("reset");

    const owner = { storeId: shop.broker.store.id, audience: SHIP.audience };
    const position = decodePosition(late.lastId ?? (await late.next(isSync)).id ?? "", owner);
    const beyond = encodePosition({ vector: (position?.vector ?? []).map((number) => number + 1_000), asOf: position?.asOf ?? 0 }, owner);
    expect((await (await connect(other.url, { position: beyond })).next(() => true)).event).toBe("reset");
    await other[Symbol.asyncDispose]();
  });

  it("Redis that stops answering stops as_of, while heartbeats go on; it catches up by itself", async () => {
    const reader = await connect(shop.broker.url);
    await reader.next(isSync);
    shop.broker.redis.pause();
    const beats = (): readonly number[] => reader.events.filter(isSync).map(({ data }) => Number(data["as_of"]));
    await eventually("heartbeats go on and as_of stands", () => beats().length > 4 && new Set(beats().slice(-4)).size === 1);
    const stood = beats().at(-1) ?? 0;
    shop.broker.redis.resume();
    await reader.next(({ event, data }) => event === "sync" && Number(data["as_of"]) > stood + 2_000, 8_000);
    expect(reader.ended).toBe(false);
    const issued = await issue();
    await end(issued.lease.id);
    await reader.next(names(issued.lease.id));
  });

  it("two hundred verifiers hear of it at nearly the same time", async () => {
    const readers = await Promise.all(Array.from({ length: 200 }, (_, index) => connect(shop.broker.url, { instance: `many-${index}` })));
    await Promise.all(readers.map((reader) => reader.next(isSync)));
    expect(shop.broker.services.feed.stats().subscribers).toBeGreaterThanOrEqual(200);
    const issued = await issue();
    const before = performance.now();
    const heard = readers.map((reader) => reader.next(names(issued.lease.id)).then(() => performance.now() - before));
    await end(issued.lease.id);
    const times = await Promise.all(heard);
    expect(Math.max(...times)).toBeLessThan(1_500);
    for (const reader of readers) reader.close();
    await eventually("all are gone", () => shop.broker.services.feed.stats().subscribers < 10);
  });
});

/** A feed that the test writes; whatever a bucket is told to do it does. */
function scripted(): {
  readonly feed: FeedStore;
  readonly add: (bucket: number, ...entries: readonly FeedEntry[]) => void;
  readonly fail: Set<number>;
  reads: number;
} {
  const buckets = Array.from({ length: BUCKETS }, (): FeedEntry[] => []);
  const fail = new Set<number>();
  const state = { reads: 0 };
  const page = (bucket: number, after: number, limit: number): FeedPage => {
    if (fail.has(bucket)) throw new Error("unreadable");
    const entries = (buckets[bucket] ?? []).slice(after, after + limit);
    return { entries, position: after + entries.length, gap: false };
  };
  const feed: FeedStore = {
    read: async (bucket, after, limit) => page(bucket, after, limit),
    readMany: async (after, limit) => {
      state.reads += 1;
      return new Map([...after].map(([bucket, from]) => [bucket, page(bucket, from, limit)]));
    },
    skip: async () => undefined,
    positions: async () => buckets.map((entries) => entries.length),
    snapshot: async () => ({ entries: [], position: 0, nextCursor: undefined }),
    hints: async () => async () => undefined,
  };
  return {
    feed,
    fail,
    add: (bucket, ...entries) => void buckets[bucket]?.push(...entries),
    get reads() {
      return state.reads;
    },
  };
}

const ended = (index: number): FeedEntry => ({
  kind: "lease",
  lease: newId("lease", 1_000_000 + index),
  grant: "ship",
  expiresAt: 2_000_000,
});

describe("the follower", () => {
  it("tells what can be read while a bucket cannot, and lets its time stand until that can be read again", async () => {
    const { feed, add, fail } = scripted();
    let now = 1_000;
    const told: FeedEntry[] = [];
    const follower = await Follower.start(feed, () => now, { entries: (entries) => void told.push(...entries), gap: () => undefined });
    expect(follower.position.asOf).toBe(1_000);
    fail.add(5);
    add(5, ended(5));
    add(7, ended(7));
    now = 2_000;
    await follower.look();
    expect([told.length, follower.position.asOf, follower.position.vector[7], follower.position.vector[5]]).toEqual([1, 1_000, 1, 0]);
    now = 3_000;
    await follower.hear({ bucket: 7 });
    expect(follower.position.asOf).toBe(1_000);
    fail.clear();
    await follower.look();
    expect([told.length, follower.position.asOf, follower.position.vector[5]]).toEqual([2, 3_000, 1]);
  });

  it("reads a long backlog to its end before it says that it is up to date", async () => {
    const { feed, add } = scripted();
    let now = 1;
    const told: FeedEntry[] = [];
    const seen: number[] = [];
    const follower = await Follower.start(feed, () => now, {
      entries: (entries, before) => {
        told.push(...entries);
        seen.push(before.asOf);
      },
      gap: () => undefined,
    });
    add(3, ...Array.from({ length: 1_700 }, (_, index) => ended(index)));
    now = 9;
    await follower.look();
    expect([told.length, follower.position.asOf]).toEqual([1_700, 9]);
    expect(seen).toEqual([1, 1, 1, 1]);
  });

  it("takes the very next entry from the hint itself, without a trip, and says nothing of the rest of the bucket by that", async () => {
    const script = scripted();
    const { feed, add } = script;
    let now = 1_000;
    const told: FeedEntry[] = [];
    const follower = await Follower.start(feed, () => now, { entries: (entries) => void told.push(...entries), gap: () => undefined });
    const [first, second] = [ended(1), ended(2)];
    add(9, first);
    now = 2_000;
    await follower.hear({ bucket: 9, next: { number: 1, entry: first } });
    expect([told, follower.position.vector[9], follower.position.asOf, script.reads]).toEqual([[first], 1, 1_000, 0]);
    expect(await follower.after(9, 0)).toEqual({ entries: [first], position: 1, gap: false });
    add(9, second);
    await follower.look();
    expect([told, follower.position.vector[9], follower.position.asOf]).toEqual([[first, second], 2, 2_000]);
  });

  it.each([
    ["one that it knows already", 1],
    ["one after another that it missed", 4],
    ["nonsense", Number.NaN],
  ])("reads the bucket when a hint brings %s", async (_what, number) => {
    const { feed, add } = scripted();
    const told: FeedEntry[] = [];
    const follower = await Follower.start(feed, () => 1_000, { entries: (entries) => void told.push(...entries), gap: () => undefined });
    const entries = [ended(1), ended(2), ended(3), ended(4)];
    add(9, entries[0] as FeedEntry);
    await follower.look();
    add(9, ...entries.slice(1));
    await follower.hear({ bucket: 9, next: { number, entry: ended(7) } });
    expect([told, follower.position.vector[9]]).toEqual([entries, 4]);
  });

  it("keeps a bounded tail in memory, and asks the store for what is older", async () => {
    const { feed, add } = scripted();
    const follower = await Follower.start(feed, () => 1, { entries: () => undefined, gap: () => undefined });
    add(3, ...Array.from({ length: 1_000 }, (_, index) => ended(index)));
    await follower.look();
    expect((await follower.after(3, 990)).entries).toHaveLength(10);
    expect((await follower.after(3, 100)).entries).toHaveLength(500);
    expect(await follower.after(3, 1_000)).toEqual({ entries: [], position: 1_000, gap: false });
  });
});

describe("a slow reader", () => {
  const owner = { storeId: "0f3a9c11-2b4d-4e7f-8a10-5c6d7e8f9a0b", audience: SHIP.audience };
  const start = encodePosition({ vector: Array.from({ length: BUCKETS }, () => 0), asOf: 1 }, owner);

  async function world(limits: { readonly enoughBytes: number; readonly unreadBytes: number; readonly stallMs: number }) {
    const script = scripted();
    const hub = new Hub({
      storeId: owner.storeId,
      feed: script.feed,
      now: () => 1_000,
      policy: () => ({ grants: new Map() }) as never,
      issuers: new Map(),
      former: () => new Map(),
      limits,
    });
    await hub.ready();
    const server: Server = createServer((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      hub.subscribe({ audience: owner.audience, from: start, sink: response, welcome: () => true });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const connect = (): Promise<IncomingMessage> =>
      new Promise((resolve, reject) => {
        const asked = httpRequest({ port: (server.address() as AddressInfo).port, agent: false });
        asked.once("error", reject).once("response", resolve).end();
      });
    const close = async (): Promise<void> => {
      await hub.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    };
    return { ...script, hub, connect, close };
  }
  /** 500 entries each, far more in all than sockets hold. */
  const flood = (add: (bucket: number, ...entries: readonly FeedEntry[]) => void, rounds: number): void => {
    for (let round = 0; round < rounds; round += 1)
      for (let bucket = 0; bucket < BUCKETS; bucket += 1)
        add(bucket, ...Array.from({ length: 500 }, (_, index) => ended(round * 500 + index)));
  };

  it("that reads nothing is cut off, and never has more written to it than it may leave unread", async () => {
    const { add, hub, connect, close } = await world({ enoughBytes: 262_144, unreadBytes: 1_048_576, stallMs: 2_000 });
    flood(add, 12); // some 18 MB in words
    const response = await connect();
    const cut = new Promise((resolve) => response.once("error", resolve).once("close", resolve));
    response.pause();
    const before = process.memoryUsage().arrayBuffers;
    await eventually("it is cut off", () => hub.stats.subscribers === 0, 8_000);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024);
    response.resume();
    await cut;
    await close();
  });

  it("that reads at its own pace is left behind for a while, and in the end has heard everything once and in order", async () => {
    const { add, connect, close } = await world({ enoughBytes: 4_096, unreadBytes: 1_048_576, stallMs: 5_000 });
    const response = await connect();
    let text = "";
    response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
    await eventually("it has begun", () => text.includes("event: sync"));
    response.pause();
    flood(add, 12);
    const slow = setInterval(() => (response.isPaused() ? response.resume() : response.pause()), 3);
    await eventually("the last of it has come", () => (text.match(/lease_/g) ?? []).length >= 12 * 500 * BUCKETS, 15_000);
    clearInterval(slow);
    expect((text.match(/lease_/g) ?? []).length).toBe(12 * 500 * BUCKETS);
    response.destroy();
    await close();
  }, 40_000);
});
