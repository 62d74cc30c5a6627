import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { setTimeout as pause } from "node:timers/promises";
import type { RevokeOrder } from "../../../domain/credential.ts";
import type { LeaseId } from "../../../domain/ids.ts";
import { systemClock } from "../../../domain/time.ts";
import { Batches, type Settled } from "../../../issuers/postgres/batch.ts";
import { Slots, type Lane } from "../../../issuers/postgres/slots.ts";
import { loginOf, startPostgresTarget, type PostgresTarget } from "../../support/postgres-target.ts";

const signal = (ms = 25_000): AbortSignal => AbortSignal.timeout(ms);
const ending = (leaseId: LeaseId): RevokeOrder => ({ leaseId, handle: undefined, expiresAt: systemClock() });

describe("connections to one server", () => {
  let target: PostgresTarget;
  let most = 0;
  let watching = true;
  let watched: Promise<void>;
  beforeAll(async () => {
    target = await startPostgresTarget({ roles: ["app_read"], idle_after: "1s" });
    const watcher = await target.server.client({ username: "stint", password: "first-password-of-the-broker", database: "postgres" });
    watched = (async () => {
      while (watching) {
        const { rows } = await watcher.query<{ n: number }>(
          "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'stint'",
        );
        most = Math.max(most, rows[0]?.n ?? 0);
        await pause(2);
      }
    })();
  });
  afterAll(async () => {
    watching = false;
    await watched;
    await target[Symbol.asyncDispose]();
  });

  it("are eight at most, whatever is asked for: 50 made at once, used, and ended at once", async () => {
    const orders = Array.from({ length: 50 }, () => target.order({}, {}));
    const issued = await Promise.all(orders.map((order) => target.issuer.issue(order, signal())));
    expect(new Set(issued.map((one) => loginOf(one).password)).size).toBe(50);
    expect(await target.server.sql("SELECT count(*)::int AS n FROM pg_roles WHERE rolname ~ '^lease_'")).toEqual([{ n: 50 }]);
    expect(
      (await target.server.psql(loginOf(issued[49] ?? { credential: { token: { reveal: () => "" } as never } }), "SELECT 1")).code,
    ).toBe(0);
    expect(await Promise.all(orders.map(({ leaseId }) => target.issuer.revoke(ending(leaseId), signal())))).toEqual(
      orders.map(() => "revoked"),
    );
    expect(await target.server.sql("SELECT 1 FROM pg_roles WHERE rolname ~ '^lease_'")).toEqual([]);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(8);
  });

  it("serve those who ask while a thousand roles end, and drop many roles with one statement", async () => {
    const names = Array.from({ length: 1_000 }, () => target.order({}, {}).leaseId);
    await target.server.sql(`SET ROLE stint; DO $$ DECLARE r text; BEGIN FOREACH r IN ARRAY ARRAY['${names.join("','")}'] LOOP
      EXECUTE format('CREATE ROLE %I LOGIN IN ROLE app_read', r);
      EXECUTE format('COMMENT ON ROLE %I IS %L', r, 'Made by Stint at https://stint.test for ' || r); END LOOP; END $$`);
    const queue = names[Symbol.iterator]();
    const ended = Promise.all(
      Array.from({ length: 32 }, async () => {
        for (const id of queue) expect(await target.issuer.revoke(ending(id), signal())).toBe("revoked");
      }),
    );
    let over = false;
    void ended.finally(() => (over = true));
    let made = 0;
    while (!over) {
      await target.issuer.issue(target.order({}, {}), signal(5_000));
      made += 1;
    }
    await ended;
    expect(made).toBeGreaterThan(3);
    const drops = (await target.server.log()).split("\n").filter((line) => line.includes("DROP ROLE IF EXISTS"));
    expect(drops.length).toBeLessThan(800);
    expect(most).toBeLessThanOrEqual(8);
  });

  it("are closed when nobody needs them", async () => {
    expect(most).toBeGreaterThan(1);
    for (let tries = 0; tries < 100; tries += 1) {
      const [row] = await target.server.sql("SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'stint'");
      if (row?.["n"] === 0) return;
      await pause(50);
    }
    throw new Error("connections are left open");
  });
});

describe("turns at a server", () => {
  const never = new AbortController().signal;
  const held = (slots: Slots, lane: Lane, count: number): Promise<(() => void)[]> =>
    Promise.all(Array.from({ length: count }, () => slots.take(lane, never)));

  it("are never all taken by one kind of work", async () => {
    for (const [size, most] of [
      [2, 1],
      [4, 3],
      [8, 6],
    ] as const) {
      const slots = new Slots(size);
      await held(slots, "revoke", most);
      const more = slots.take("revoke", never);
      const issue = await slots.take("issue", never);
      expect(slots.held).toBe(most + 1);
      issue();
      expect(await Promise.race([more.then(() => "taken"), pause(20, "waits")])).toBe("waits");
    }
  });

  it("go to whoever holds fewer, when both wait", async () => {
    const slots = new Slots(2);
    const [issue] = await held(slots, "issue", 1);
    const [revoke] = await held(slots, "revoke", 1);
    const order: Lane[] = [];
    for (const lane of ["revoke", "revoke", "issue"] as const) void slots.take(lane, never).then(() => order.push(lane));
    issue?.();
    await pause(1);
    expect(order).toEqual(["issue"]);
    revoke?.();
    await pause(1);
    expect(order).toEqual(["issue", "revoke"]);
  });

  it("are given up by whoever loses patience, and given back once", async () => {
    const slots = new Slots(2);
    const [first] = await held(slots, "issue", 1);
    await expect(slots.take("issue", AbortSignal.timeout(1))).rejects.toThrow();
    await expect(slots.take("issue", AbortSignal.abort())).rejects.toThrow();
    first?.();
    first?.();
    expect(slots.held).toBe(0);
    await held(slots, "issue", 1);
  });
});

describe("batches", () => {
  it("answer each key once, gather what comes meanwhile, and fail only what failed", async () => {
    const batches: (readonly number[])[] = [];
    const made = new Batches<number, string>(async (keys) => {
      batches.push(keys);
      await pause(5);
      return new Map(
        keys.map((key): [number, Settled<string>] => [key, key % 7 === 0 ? { error: new Error(`no ${key}`) } : { value: `yes ${key}` }]),
      );
    });
    const answers = await Promise.allSettled([...Array.from({ length: 300 }, (_, key) => key), 5, 5].map((key) => made.ask(key)));
    expect(answers[5]).toEqual({ status: "fulfilled", value: "yes 5" });
    expect(answers[301]).toEqual({ status: "fulfilled", value: "yes 5" });
    expect(answers[14]).toMatchObject({ status: "rejected", reason: { message: "no 14" } });
    expect(batches.map((keys) => keys.length)).toEqual([100, 100, 100]);
  });

  it("fail whole when the work throws, or forgets a key", async () => {
    await expect(new Batches<number, string>(() => Promise.reject(new Error("down"))).ask(1)).rejects.toThrow("down");
    await expect(new Batches<number, string>(async () => new Map()).ask(1)).rejects.toThrow("did not answer");
  });
});
