import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { observe } from "../../broker/observe.ts";
import type { BrokerEvent } from "../../broker/services.ts";
import { createSchedule } from "../../broker/sweeper/schedule.ts";
import { createMetrics } from "../../broker/telemetry/metrics.ts";
import { origin } from "../support/broker.ts";
import { fakeClock } from "../support/clock.ts";
import { askForRole, ORDERS_DB, ordersDb, rolesAt, type Role } from "../support/postgres-shop.ts";
import { startPostgresTarget, type PostgresTarget } from "../support/postgres-target.ts";
import { openShop, type Shop } from "../support/shop.ts";

describe("a lease whose role a real Postgres will not let us drop", () => {
  const clock = fakeClock(Date.now());
  const events: BrokerEvent[] = [];
  let target: PostgresTarget;
  let shop: Shop;
  let role: Role;
  let given: Role;
  beforeAll(async () => {
    target = await startPostgresTarget();
    shop = await openShop({ clock, ...ORDERS_DB, more: ordersDb(target) });
    shop.broker.events.own((event) => void events.push(event));
    role = await askForRole(shop, shop.broker);
    given = await askForRole(shop, shop.broker);
    await target.server.sql("ALTER ROLE stint NOCREATEROLE");
    for (const { lease, taskToken } of [role, given]) await shop.broker.services.leases.release(lease, taskToken, origin());
    await shop.broker.settled();
  }, 120_000);
  afterAll(async () => {
    await shop[Symbol.asyncDispose]();
    await target[Symbol.asyncDispose]();
  });

  const http = async (path: string, as: "viewer" | "responder" | "admin", body?: unknown): Promise<Response> =>
    fetch(`${shop.broker.url}${path}`, {
      ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
      headers: { authorization: `Bearer ${shop.broker.operators[as].reveal()}`, "content-type": "application/json" },
    });
  const sweep = async (): Promise<void> => {
    await shop.broker.sweep();
    await shop.broker.settled();
  };

  it("is listed by its state, and says why, with the server's own code", async () => {
    const answer = (await (await http("/v1/leases?state=stuck", "viewer")).json()) as { items: readonly Record<string, unknown>[] };
    expect(new Set(answer.items.map(({ id }) => id))).toEqual(new Set([role.lease, given.lease]));
    expect(answer.items[0]).toMatchObject({
      state: "stuck",
      issuer: "orders-db",
      attempts: 1,
      last_error: expect.stringContaining("42501"),
    });
    expect(answer.items[0]?.["last_error"]).toContain("our role lacks a right");
  });

  it("is told in the log, on the event stream, on the audit and by the metric", async () => {
    expect(shop.broker.logged).toContainEqual(
      expect.objectContaining({ level: "warn", fields: expect.objectContaining({ leaseId: role.lease, stuck: true }) }),
    );
    expect(events).toContainEqual(expect.objectContaining({ type: "lease.stuck", data: expect.objectContaining({ lease: role.lease }) }));
    expect(await shop.broker.audit.records()).toContainEqual(expect.objectContaining({ action: "lease.stuck", lease: role.lease }));
    const metrics = createMetrics({ version: "0.1.0", process: false });
    await using schedule = createSchedule(() => undefined);
    await observe(shop.broker, metrics, schedule);
    expect((await metrics.render()).body).toContain('stint_leases{state="stuck"} 2');
  });

  it("is closed by force only by an admin who says why; the role is then nobody's, and the next comparison ends it", async () => {
    const path = `/v1/leases/${role.lease}/close`;
    expect((await http(path, "responder", { reason: "INC-9" })).status).toBe(403);
    expect((await http(path, "admin", {})).status).toBe(400);
    expect(await (await http(`/v1/leases/${role.lease}`, "viewer")).json()).toMatchObject({ state: "stuck" });
    const closed = await http(path, "admin", { reason: "INC-9: rights were taken from us" });
    expect(await closed.json()).toMatchObject({ state: "forced", last_error: "INC-9: rights were taken from us" });
    expect(await shop.broker.audit.records()).toContainEqual(
      expect.objectContaining({ action: "lease.forced", lease: role.lease, principal: "operator:admin" }),
    );
    expect((await shop.broker.store.leases.counts()).byState).toMatchObject({ forced: 1, stuck: 1 });
    expect(await rolesAt(target)).toContain(role.username);
  });

  it("is still tried, slowly, and gone without anybody's help once the right is given back", async () => {
    clock.advance({ minutes: 14 });
    await sweep();
    expect(await shop.broker.store.leases.get(given.lease)).toMatchObject({ state: "stuck", attempts: 1 });
    clock.advance({ minutes: 2 });
    await sweep();
    expect(await shop.broker.store.leases.get(given.lease)).toMatchObject({ state: "stuck", attempts: 2 });
    await target.server.sql("ALTER ROLE stint CREATEROLE");
    clock.advance({ minutes: 16 });
    await sweep();
    expect(await shop.broker.store.leases.get(given.lease)).toMatchObject({ state: "revoked" });
    await shop.broker.duties.runOnce();
    await shop.broker.settled();
    expect(await rolesAt(target)).toEqual([]);
  });
});
