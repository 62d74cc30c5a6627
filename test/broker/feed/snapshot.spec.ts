import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { newId, subjectBits } from "../../../domain/ids.ts";
import { startRevocation } from "../../support/broker.ts";
import { readFeed } from "../../support/feed-reader.ts";
import { openFeedShop, OTHER, SHIP } from "../../support/feed-shop.ts";
import { request, type Shop } from "../../support/shop.ts";

interface Snapshot {
  readonly head: {
    readonly snapshot: number;
    readonly position: string;
    readonly as_of: number;
    readonly issuer: string;
    readonly audience: string;
  };
  readonly leases: ReadonlyMap<string, number>;
  readonly marks: readonly { readonly scope: string; readonly name: string; readonly at: number }[];
  readonly end: { readonly end: boolean; readonly leases: number; readonly marks: number } | undefined;
}

describe("a snapshot of the feed", () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openFeedShop();
  });
  afterAll(async () => {
    await shop[Symbol.asyncDispose]();
  });

  const ask = (key: string): Promise<Response> =>
    fetch(`${shop.broker.url}/v1/feed/snapshot`, { headers: { authorization: `Bearer ${key}` } });
  async function take(key: string): Promise<Snapshot> {
    const response = await ask(key);
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/x-ndjson"]);
    const lines = (await response.text())
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const leases = new Map(lines.flatMap((line) => (Array.isArray(line["leases"]) ? (line["leases"] as [string, number][]) : [])));
    const last = lines.at(-1) as Snapshot["end"] & object;
    return {
      head: lines[0] as unknown as Snapshot["head"],
      leases,
      marks: lines.flatMap((line) => (line["mark"] === undefined ? [] : [line["mark"] as Snapshot["marks"][number]])),
      end: last.end === true ? last : undefined,
    };
  }
  const issue = async (grant: string) =>
    shop.exchange({ ...request(grant), evidence: await shop.evidence({ run_id: `${Math.random()}` }) });
  const revoke = (kind: "lease" | "grant", name: string) => startRevocation(shop.broker, { kind, name });

  it("of nothing is whole, and says of whom it is and up to when", async () => {
    const snapshot = await take(SHIP.key);
    expect(snapshot.head).toMatchObject({ snapshot: 1, issuer: shop.broker.url, audience: SHIP.audience });
    expect(Math.abs(snapshot.head.as_of - Date.now())).toBeLessThan(5000);
    expect(snapshot.end).toEqual({ end: true, leases: 0, marks: 0 });
  });

  it("holds what ended and what is marked, for its audience only, and its position goes on without a gap", async () => {
    const [mine, theirs] = [await issue("ship"), await issue("other")];
    await revoke("lease", mine.lease.id);
    await revoke("lease", theirs.lease.id);
    await revoke("grant", "ship-more");
    const [ship, other] = [await take(SHIP.key), await take(OTHER.key)];
    expect([...ship.leases]).toEqual([[mine.lease.id, Math.ceil(mine.lease.expiresAt / 1000)]]);
    expect([...other.leases.keys()]).toEqual([theirs.lease.id]);
    expect(new Set(ship.marks.map(({ scope, name }) => `${scope} ${name}`))).toEqual(new Set(["grant ship-more"]));
    expect(other.marks).toEqual([]);
    expect(ship.end).toEqual({ end: true, leases: 1, marks: ship.marks.length });

    const later = await issue("ship");
    await revoke("lease", later.lease.id);
    const reader = await readFeed(shop.broker.url, { key: SHIP.key, position: ship.head.position });
    await reader.next(({ event, data }) => event === "revoked" && JSON.stringify(data).includes(later.lease.id));
    await reader.next(({ event }) => event === "sync");
    expect(reader.events.some(({ event }) => event === "reset")).toBe(false);
    reader.close();
  });

  it("is refused to strangers", async () => {
    const response = await ask("ship-api:wrong");
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([401, "invalid_client"]);
  });

  it("of 50,000 leases is streamed no faster than it is read", async () => {
    const client = shop.broker.redis.client();
    const expiresAt = Date.now() + 600_000;
    const bits = subjectBits("github:456789");
    const key = `stint:{b${(bits % 64).toString(16).padStart(2, "0")}}:rv`;
    for (let count = 0; count < 50_000; count += 5_000) {
      const members = Array.from(
        { length: 5_000 },
        (_, index) => [expiresAt + ((count + index) % 60_000), `${newId("lease", expiresAt, bits).slice(6)}ship`] as const,
      );
      await client.zadd(key, ...members.flat());
    }
    const slow = await new Promise<IncomingMessage>((resolve, reject) => {
      const asked = httpRequest(`${shop.broker.url}/v1/feed/snapshot`, { headers: { authorization: `Bearer ${SHIP.key}` }, agent: false });
      asked.once("error", reject).once("response", resolve).end();
    });
    slow.on("error", () => undefined).pause();
    const before = process.memoryUsage().heapUsed + process.memoryUsage().external;
    const snapshot = await take(SHIP.key);
    expect(snapshot.leases.size).toBeGreaterThanOrEqual(50_000);
    expect(snapshot.end?.leases).toBeGreaterThanOrEqual(50_000);
    // The other one, which nobody reads, holds a page and what the sockets hold: not the two megabytes and more of the whole.
    expect(process.memoryUsage().heapUsed + process.memoryUsage().external - before).toBeLessThan(64 * 1024 * 1024);
    slow.destroy();
    await client.unlink(key);
  });

  it("breaks off without its last line when the store goes away", async () => {
    const store = shop.broker.store;
    const snapshot = store.feed.snapshot;
    let pages = 0;
    const failing: typeof snapshot = (...order) => (++pages > 20 ? Promise.reject(new Error("gone")) : snapshot(...order));
    Object.assign(store.feed, { snapshot: failing });
    try {
      const response = await ask(SHIP.key);
      await expect(response.text()).rejects.toThrow();
      expect(pages).toBe(21);
    } finally {
      Object.assign(store.feed, { snapshot });
    }
    expect((await take(SHIP.key)).end).toBeDefined();
  });
});
