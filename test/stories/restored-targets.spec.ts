import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { placeKey } from "../../store/keyspace.ts";
import { markOf } from "../../issuers/postgres/names.ts";
import { newId } from "../../domain/ids.ts";
import { startBroker, type BrokerSettings, type TestBroker } from "../support/broker.ts";
import { fakeClock } from "../support/clock.ts";
import { askForRole, ORDERS_DB, ordersDb, rolesAt, type Role } from "../support/postgres-shop.ts";
import { startPostgresTarget, type PostgresTarget } from "../support/postgres-target.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { openShop, shopDocuments, type Shop } from "../support/shop.ts";
import { fileKind, testTarget } from "../support/test-issuers.ts";
import { issuerKinds } from "../../issuers/catalog.ts";

/** A target of the same policy that cannot tell what exists there. */
const UNLISTED = `
---
kind: Target
name: blind
owner: team-platform
issuer: file
file: "x"
`;
const LOSSES = [
  { name: "FLUSHALL", lose: async (redis: TestRedis) => void (await redis.client().flushall()) },
  {
    name: "yesterday's snapshot",
    lose: async (redis: TestRedis) => {
      await redis.kill9();
      await redis.restart();
    },
  },
] as const;

describe.each(LOSSES)("a store that lost its leases ($name) beside a real Postgres", ({ lose }) => {
  let target: PostgresTarget;
  let redis: TestRedis;
  let auditDir: string;
  let shop: Shop;
  let next: TestBroker;
  let kept: Role;
  let lost: readonly Role[];
  const clock = fakeClock(Date.now());
  const others = { anothers: newId("lease", Date.now()), person: "ann" };

  beforeAll(async () => {
    target = await startPostgresTarget();
    redis = await startRedis();
    auditDir = await mkdtemp(join(tmpdir(), "stint-restored-"));
    shop = await openShop({ clock, redis, auditDir, ...ORDERS_DB, more: ordersDb(target) });
    kept = await askForRole(shop, shop.broker);
    await redis.client().save(); // yesterday
    clock.advance({ minutes: 1 });
    lost = [await askForRole(shop, shop.broker), await askForRole(shop, shop.broker)];
    await target.server.sql(
      `CREATE ROLE ${others.person} LOGIN; CREATE ROLE ${others.anothers} LOGIN IN ROLE app_read;
       COMMENT ON ROLE ${others.anothers} IS '${markOf("https://another.test")}${others.anothers}'`,
    );
    await shop.broker.duties.runOnce(); // the files are the witness
    await shop.broker.settled();
    await shop.broker.abandon();
    await lose(redis);
    clock.advance({ seconds: 20 });
    next = await start({});
  }, 180_000);
  afterAll(async () => {
    await next[Symbol.asyncDispose]();
    await shop[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
    await target[Symbol.asyncDispose]();
    await rm(auditDir, { recursive: true, force: true });
  });

  async function start({ more = "", ...settings }: BrokerSettings & { readonly more?: string }): Promise<TestBroker> {
    await redis.client().del(`${placeKey("meta")}:exporter`); // Redis counts a dead exporter's lock by its own clock
    return startBroker({
      clock,
      redis,
      auditDir,
      url: shop.broker.url,
      masterKey: shop.broker.masterKey,
      ...ORDERS_DB,
      documents: (url) => shopDocuments(shop.idp, url) + ordersDb(target) + more,
      ...settings,
    });
  }
  const http = async (broker: TestBroker, path: string, as: "viewer" | "responder" | "admin", body?: unknown): Promise<Response> =>
    fetch(`${broker.url}${path}`, {
      ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
      headers: { authorization: `Bearer ${broker.operators[as].reveal()}`, "content-type": "application/json" },
    });
  const held = async (broker: TestBroker): Promise<boolean> => (await broker.services.hold.show()).held;

  it("is on hold, and shows at each target what would be done, and does nothing", async () => {
    await next.duties.runOnce();
    await next.settled();
    expect(await held(next)).toBe(true);
    const { items } = (await (await http(next, "/v1/targets", "viewer")).json()) as { items: readonly Record<string, unknown>[] };
    const findings = items[0]?.["findings"] as { mode: string; orphans: readonly string[] };
    expect(findings.mode).toBe("shown");
    expect(findings.orphans).toEqual(expect.arrayContaining(lost.map(({ lease }) => lease)));
    for (const other of Object.values(others)) expect(findings.orphans).not.toContain(other);
    expect((await rolesAt(target)).length).toBe(4);
    await expect(askForRole(shop, next)).rejects.toMatchObject({ code: expect.stringMatching(/on_hold|audit_unavailable/) });
  });

  it("lets nobody but an admin reconcile", async () => {
    expect((await http(next, "/v1/targets/orders-db/reconcile", "responder", { reason: "x" })).status).toBe(403);
    expect((await rolesAt(target)).length).toBe(4);
  });

  it("stays on hold where some target cannot be listed", async () => {
    await using place = await testTarget();
    const { list: _list, ...blind } = place.issuer;
    const kinds = [...issuerKinds.values(), fileKind(blind)];
    await next.abandon();
    next = await start({ kinds, more: UNLISTED });
    await next.duties.runOnce();
    await next.settled();
    const answer = await http(next, "/v1/targets/orders-db/reconcile", "admin", { reason: "INC-1" });
    expect(await answer.json()).toMatchObject({ mode: "done", failed: 0 });
    expect(await held(next)).toBe(true);
    expect(await rolesAt(target)).not.toEqual(expect.arrayContaining(lost.map(({ username }) => username)));
    await next.abandon();
    next = await start({});
  });

  it("is let go by a reconcile of every target; then our roles are gone and nobody else's was touched", async () => {
    await next.duties.runOnce();
    await next.settled();
    expect(await held(next)).toBe(true);
    const answer = await http(next, "/v1/targets/orders-db/reconcile", "admin", { reason: "INC-1: restored" });
    expect(await answer.json()).toMatchObject({ mode: "done", failed: 0 });
    expect(await held(next)).toBe(false);
    clock.advance({ seconds: 15 });
    await next.duties.runOnce(); // what the snapshot still knew as live is under the mark on all, and ends at its target too
    await next.settled();
    expect(await rolesAt(target)).toEqual([others.anothers]);
    expect(await target.server.sql(`SELECT 1 AS there FROM pg_roles WHERE rolname = '${others.person}'`)).toEqual([{ there: 1 }]);
    for (const role of [kept, ...lost]) {
      const answered = await target.server.psql({ ...role, database: "app" }, "SELECT 1");
      expect(answered.code).not.toBe(0);
    }
    clock.advance({ seconds: 5 });
    await next.duties.runOnce();
    const fresh = await askForRole(shop, next);
    expect((await target.server.psql({ ...fresh, database: "app" }, "SELECT count(*) FROM app.orders")).stdout).toBe("2");
  });
});
