import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { setTimeout as pause } from "node:timers/promises";
import { createVerifier } from "../../../client/verify/index.ts";
import { LeasePage, type LeaseView } from "../../../domain/wire.ts";
import { origin, startRevocation } from "../../support/broker.ts";
import { fakeClock } from "../../support/clock.ts";
import { eventually } from "../../support/events.ts";
import { openFeedShop, OTHER, SHIP } from "../../support/feed-shop.ts";
import { request, type Shop } from "../../support/shop.ts";

describe("reports of use", () => {
  const clock = fakeClock();
  let shop: Shop;
  beforeAll(async () => {
    shop = await openFeedShop({ clock });
  });
  afterAll(async () => {
    await shop[Symbol.asyncDispose]();
  });

  const issue = async (grant: string) =>
    shop.exchange({ ...request(grant), evidence: await shop.evidence({ run_id: `${Math.random()}` }) });
  const tell = (key: string, ...uses: readonly object[]): Promise<Response> =>
    fetch(`${shop.broker.url}/v1/feed/used`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ instance: "ship-1", uses }),
    });
  const get = async (path: string): Promise<Response> =>
    fetch(`${shop.broker.url}${path}`, { headers: { authorization: `Bearer ${shop.broker.operators.viewer.reveal()}` } });
  const ofTask = async (task: string): Promise<LeaseView | undefined> =>
    LeasePage.parse(await (await get(`/v1/leases?task=${task}`)).json()).items[0];
  const records = async (lease: string) =>
    (await shop.broker.audit.records()).filter((record) => record.action === "lease.used_after_end" && record.lease === lease);

  it("give the last use; without any it is not reported, which is not unused", async () => {
    const issued = await issue("ship");
    expect(await ofTask(issued.task.id)).toMatchObject({ last_used_at: null, used_after_end: null, never_released: false });
    const at = clock();
    expect(
      (await tell(SHIP.key, { lease: issued.lease.id, at, outcome: "accepted", route: "POST /ship", source: "203.0.113.9" })).status,
    ).toBe(204);
    await tell(
      SHIP.key,
      { lease: issued.lease.id, at: at - 5_000, outcome: "accepted", count: 7 },
      { lease: issued.lease.id, at, outcome: "refused" },
    );
    expect(await ofTask(issued.task.id)).toMatchObject({ last_used_at: new Date(at).toISOString(), used_after_end: null });
    expect(await (await get(`/v1/leases/${issued.lease.id}`)).json()).toMatchObject({ last_used_at: new Date(at).toISOString() });
    // Nobody uses a token in the future, whatever a clock says.
    await tell(SHIP.key, { lease: issued.lease.id, at: at + 3_600_000, outcome: "accepted" });
    expect((await ofTask(issued.task.id))?.last_used_at).toBe(new Date(clock()).toISOString());
  });

  it("show their holder nothing of it", async () => {
    const issued = await issue("ship");
    const headers = { authorization: `Bearer ${issued.credential.token.reveal()}` };
    const seen = (await (await fetch(`${shop.broker.url}/v1/leases/${issued.lease.id}`, { headers })).json()) as object;
    expect(Object.keys(seen)).not.toEqual(expect.arrayContaining(["last_used_at"]));
  });

  it("of a token used after its end are on the audit at once, then each minute, and can be listed", async () => {
    const issued = await issue("ship");
    await shop.broker.services.leases.release(issued.lease.id, issued.credential.token, origin());
    const replay = { lease: issued.lease.id, outcome: "ended", route: "POST /ship\u001b[2J\nforged", source: "203.0.113.9" };
    for (let time = 0; time < 5; time += 1)
      expect((await tell(SHIP.key, { ...replay, at: clock.advance({ seconds: 5 }) })).status).toBe(204);
    const [first, ...more] = await records(issued.lease.id);
    expect(more).toEqual([]);
    expect(first).toMatchObject({
      principal: "verifier:ship-api",
      instance: "ship-1",
      outcome: "refused",
      source: "203.0.113.9",
      route: "POST /ship [2J forged",
      subject: issued.lease.subject,
      grant: "ship",
      uses: 1,
    });
    await tell(SHIP.key, { ...replay, at: clock.advance({ seconds: 60 }), count: 3 });
    expect((await records(issued.lease.id)).map((record) => record["uses"])).toEqual([1, 8]);
    const listed = LeasePage.parse(await (await get("/v1/leases?used_after_end=true")).json()).items;
    expect(listed.map(({ id }) => id)).toEqual([issued.lease.id]);
    expect(listed[0]).toMatchObject({
      used_after_end: { at: new Date(clock()).toISOString(), count: 8 },
      last_used_at: null,
      never_released: false,
    });
  });

  it("of a token that was honoured after its end count beyond what clocks may differ", async () => {
    const issued = await issue("ship");
    await shop.broker.services.leases.release(issued.lease.id, issued.credential.token, origin());
    const ended = clock();
    clock.advance({ seconds: 10 });
    await tell(SHIP.key, { lease: issued.lease.id, at: ended + 1_500, outcome: "accepted" });
    expect(await records(issued.lease.id)).toEqual([]);
    await tell(SHIP.key, { lease: issued.lease.id, at: ended + 9_000, outcome: "accepted" });
    expect(await records(issued.lease.id)).toMatchObject([{ outcome: "accepted" }]);
  });

  it("find a token after its workload was revoked by a mark", async () => {
    const issued = await issue("ship");
    await startRevocation(shop.broker, { kind: "workload", name: issued.lease.subject });
    await tell(SHIP.key, { lease: issued.lease.id, at: clock.advance({ seconds: 5 }), outcome: "ended" });
    expect(await records(issued.lease.id)).toHaveLength(1);
    clock.advance({ seconds: 1 });
  });

  it("tell who never gave back what ran out", async () => {
    const issued = await issue("ship");
    await tell(SHIP.key, { lease: issued.lease.id, at: clock.advance({ minutes: 9 }), outcome: "accepted" });
    clock.advance({ minutes: 2 });
    await shop.broker.sweep();
    expect(await ofTask(issued.task.id)).toMatchObject({
      state: "revoked",
      ended_by: "expiry",
      never_released: true,
      last_used_at: expect.any(String),
    });
  });

  it("of other audiences' leases, and of leases that nobody knows, are passed over", async () => {
    const issued = await issue("ship");
    expect(
      (
        await tell(
          OTHER.key,
          { lease: issued.lease.id, at: clock(), outcome: "accepted" },
          { lease: "lease_01jzzzzzzz0000000000000000", at: clock(), outcome: "ended" },
        )
      ).status,
    ).toBe(204);
    expect(await ofTask(issued.task.id)).toMatchObject({ last_used_at: null });
  });

  it("are taken from verifiers only, in their form only", async () => {
    const issued = await issue("ship");
    const use = { lease: issued.lease.id, at: clock(), outcome: "accepted" };
    expect((await tell("ship-api:wrong", use)).status).toBe(401);
    for (const wrong of [
      { ...use, lease: "lease_x" },
      { ...use, at: -1 },
      { ...use, more: 1 },
      { ...use, outcome: "fine" },
      { ...use, count: 0 },
      { ...use, source: "a b" },
    ])
      expect((await tell(SHIP.key, wrong)).status).toBe(400);
    expect((await tell(SHIP.key)).status).toBe(400);
    expect((await tell(SHIP.key, ...Array.from({ length: 201 }, () => use))).status).toBe(400);
  });
});

describe("a verifier's own reports", () => {
  it("reach the lease", async () => {
    await using shop = await openFeedShop();
    const [name = "", key = ""] = SHIP.key.split(":");
    const verifier = createVerifier({
      issuer: shop.broker.url,
      audience: SHIP.audience,
      name,
      key,
      instance: "ship-1",
      log: () => undefined,
    });
    await verifier.ready();
    const issued = await shop.exchange({ ...request("ship") });
    const token = issued.credential.token.reveal();
    await verifier.verify(token);
    await shop.broker.services.leases.release(issued.lease.id, issued.credential.token, origin());
    await eventually("it is refused", () =>
      verifier.verify(token).then(
        () => false,
        () => true,
      ),
    );
    await pause(5);
    await verifier.close();
    const use = (await shop.broker.store.uses.of([issued.lease.id])).get(issued.lease.id);
    expect(use).toMatchObject({ lastUsedAt: expect.any(Number), afterEnd: { count: 1 } });
  });
});
