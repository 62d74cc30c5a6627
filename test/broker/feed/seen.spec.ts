import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { VerifierPage, type VerifierView } from "../../../domain/wire.ts";
import { MAX_INSTANCES } from "../../../store/seen.ts";
import { eventually } from "../../support/events.ts";
import { readFeed } from "../../support/feed-reader.ts";
import { openFeedShop, OTHER, SHIP } from "../../support/feed-shop.ts";
import type { Shop } from "../../support/shop.ts";

describe("what verifiers have seen", () => {
  let shop: Shop;
  beforeAll(async () => {
    shop = await openFeedShop();
  });
  afterAll(async () => {
    await shop[Symbol.asyncDispose]();
  });

  const say = (key: string, body: unknown): Promise<Response> =>
    fetch(`${shop.broker.url}/v1/feed/seen`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const list = async (): Promise<readonly VerifierView[]> => {
    const response = await fetch(`${shop.broker.url}/v1/verifiers`, {
      headers: { authorization: `Bearer ${shop.broker.operators.viewer.reveal()}` },
    });
    return VerifierPage.parse(await response.json()).items;
  };
  const instance = async (verifier: string, name: string) =>
    (await list()).find((each) => each.name === verifier)?.instances.find((each) => each.instance === name);

  it("is listed for operators: who is connected, what they have applied, and how old that is", async () => {
    const reader = await readFeed(shop.broker.url, { key: SHIP.key, instance: "ship-1", maxStaleness: 20 });
    expect(await instance("ship-api", "ship-1")).toMatchObject({ max_staleness: 20, acknowledged_at: null, as_of: null, stale: true });
    const { id, data } = await reader.next(({ event }) => event === "sync");
    const said = await say(SHIP.key, { instance: "ship-1", position: id, max_staleness: 20, applied_at: Date.now() });
    expect(said.status).toBe(204);
    const now = await instance("ship-api", "ship-1");
    expect(now).toMatchObject({ as_of: new Date(Number(data["as_of"])).toISOString(), stale: false });
    expect(now?.behind_seconds).toBeLessThan(5);
    // Written down a moment later, for every other broker.
    await eventually(
      "the store has it",
      async () => (await shop.broker.store.seen.read(["ship-api"])).get("ship-api")?.[0]?.position === id,
    );
    reader.close();
  });

  it("keeps the instant at which a position was first acknowledged", async () => {
    const reader = await readFeed(shop.broker.url, { key: SHIP.key, instance: "ship-2" });
    const { id } = await reader.next(({ event }) => event === "sync");
    const acknowledged = async (): Promise<string> => {
      expect((await say(SHIP.key, { instance: "ship-2", position: id })).status).toBe(204);
      return eventually("acknowledged", async () => (await instance("ship-api", "ship-2"))?.acknowledged_at ?? undefined);
    };
    const first = await acknowledged();
    await eventually("it is written down", async () =>
      (await shop.broker.store.seen.read(["ship-api"])).get("ship-api")?.some((each) => each.instance === "ship-2" && each.position === id),
    );
    expect(await acknowledged()).toBe(first);
    reader.close();
  });

  it("counts a position of somebody else as none", async () => {
    const reader = await readFeed(shop.broker.url, { key: OTHER.key, instance: "other-1" });
    const { id } = await reader.next(({ event }) => event === "sync");
    reader.close();
    expect((await say(SHIP.key, { instance: "ship-3", position: id })).status).toBe(204);
    expect(await eventually("it is listed", () => instance("ship-api", "ship-3"))).toMatchObject({ acknowledged_at: null, as_of: null });
  });

  it("is taken from verifiers only, and in their form only", async () => {
    expect((await say("ship-api:wrong", { instance: "x", position: "AAAA" })).status).toBe(401);
    for (const body of [
      {},
      { instance: "x" },
      { instance: "../x", position: "AAAA" },
      { instance: "x", position: "a b" },
      { instance: "x", position: "AAAA", more: 1 },
    ])
      expect((await say(SHIP.key, body)).status).toBe(400);
  });

  it("is bounded: of a thousand living instances and one more, the last is refused, and takes the place of one that is gone", async () => {
    const { seen } = shop.broker.store;
    const now = shop.broker.store.clock.now();
    const note = (from: number, count: number, at: number) =>
      seen.note(
        "crowd",
        Array.from({ length: count }, (_, index) => ({ instance: `i-${from + index}`, at, maxStalenessMs: 15_000, position: undefined })),
      );
    expect(await note(0, MAX_INSTANCES, now)).toEqual([]);
    expect(await note(MAX_INSTANCES, 2, now)).toEqual([`i-${MAX_INSTANCES}`, `i-${MAX_INSTANCES + 1}`]);
    expect((await seen.read(["crowd"])).get("crowd")).toHaveLength(MAX_INSTANCES);

    await note(0, 0, now);
    expect(
      await seen.note(
        "idle",
        Array.from({ length: MAX_INSTANCES }, (_, index) => ({
          instance: `i-${index}`,
          at: now - 80_000 - index,
          maxStalenessMs: 15_000,
          position: undefined,
        })),
      ),
    ).toEqual([]);
    expect(await seen.note("idle", [{ instance: "new", at: now, maxStalenessMs: 15_000, position: undefined }])).toEqual([]);
    const left = (await seen.read(["idle"])).get("idle") ?? [];
    expect([
      left.length,
      left.some((each) => each.instance === `i-${MAX_INSTANCES - 1}`),
      left.some((each) => each.instance === "new"),
    ]).toEqual([MAX_INSTANCES, false, true]);
  });
});
