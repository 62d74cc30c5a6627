import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Client } from "pg";
import type { RevokeOrder } from "../../../domain/credential.ts";
import { newId, type LeaseId } from "../../../domain/ids.ts";
import { systemClock } from "../../../domain/time.ts";
import { BROKER_PASSWORD, loginOf, startPostgresTarget, type PostgresTarget } from "../../support/postgres-target.ts";

let target: PostgresTarget;
beforeAll(async () => {
  target = await startPostgresTarget({ roles: ["app_read"] });
});
afterAll(async () => {
  await target[Symbol.asyncDispose]();
});

const signal = (): AbortSignal => AbortSignal.timeout(15_000);
const ending = (leaseId: LeaseId): RevokeOrder => ({ leaseId, handle: undefined, expiresAt: systemClock() });
const roles = async (lease: LeaseId): Promise<number> =>
  (await target.server.sql(`SELECT 1 FROM pg_roles WHERE rolname = '${lease}'`)).length;
/** The broker's own role, as another process of the broker would connect. */
async function broker(): Promise<Client> {
  return target.server.client({ username: "stint", password: BROKER_PASSWORD, database: "app" });
}

describe("issuing and revoking the same lease", () => {
  it("makes nothing once the lease has ended, however late it comes: 50 of 50", async () => {
    const orders = Array.from({ length: 50 }, () => target.order({}, {}));
    await Promise.all(orders.map(({ leaseId }) => target.issuer.revoke(ending(leaseId), signal())));
    const late = await Promise.allSettled(orders.map((order) => target.issuer.issue(order, signal())));
    expect(late.filter(({ status }) => status === "rejected")).toHaveLength(50);
    expect(late[0]).toMatchObject({
      reason: { name: "PermanentFailure", message: "the role could not be made: this lease has ended, or has its role already" },
    });
    expect((await Promise.all(orders.map(({ leaseId }) => roles(leaseId)))).every((count) => count === 0)).toBe(true);
  });

  it("waits for an issuer that stopped between the fence and the role, and ends what it made: 10 of 10", async () => {
    for (let round = 0; round < 10; round += 1) {
      const leaseId = newId("lease", systemClock());
      // the steps of one issuing, with a pause in the middle that our own never has: it sends them in one message
      const frozen = await broker();
      await frozen.query(
        `BEGIN; INSERT INTO stint.fence (lease, deadline, keep_until) VALUES ('${leaseId}', now() + interval '1 minute', now())`,
      );
      const revoked = target.issuer.revoke(ending(leaseId), signal());
      await waitsForLock();
      await frozen.query(`CREATE ROLE "${leaseId}" LOGIN IN ROLE app_read; GRANT "${leaseId}" TO CURRENT_USER;
        COMMENT ON ROLE "${leaseId}" IS 'Made by Stint at https://stint.test for ${leaseId}'; COMMIT`);
      expect(await revoked).toBe("revoked");
      expect(await roles(leaseId)).toBe(0);
      await frozen.end();
    }
  });

  it("refuses whoever passed the fence after it was closed, in the middle of a transaction too", async () => {
    const leaseId = newId("lease", systemClock());
    const frozen = await broker();
    await frozen.query("BEGIN");
    expect(await target.issuer.revoke(ending(leaseId), signal())).toBe("already_gone");
    await expect(
      frozen.query(`INSERT INTO stint.fence (lease, deadline, keep_until) VALUES ('${leaseId}', now() + interval '1 minute', now())`),
    ).rejects.toMatchObject({ code: "23505" });
    await frozen.query("ROLLBACK");
  });

  it("does not wait for ever for an issuer that hangs in the middle: the server ends its transaction", async () => {
    const issuer = target.open({ lock_timeout: "300ms" });
    const leaseId = newId("lease", systemClock());
    const frozen = await broker();
    await frozen.query(
      `BEGIN; INSERT INTO stint.fence (lease, deadline, keep_until) VALUES ('${leaseId}', now() + interval '1 minute', now())`,
    );
    await expect(issuer.revoke(ending(leaseId), signal())).rejects.toMatchObject({
      name: "RetryableFailure",
      message: expect.stringContaining("55P03"),
    });
    await frozen.end();
    expect(await issuer.revoke(ending(leaseId), signal())).toBe("already_gone");
  });

  it("leaves nothing behind when both run at once, whoever is first: 60 of 60", async () => {
    const orders = Array.from({ length: 60 }, () => target.order({}, {}));
    await Promise.all(
      orders.map(async (order, index) => {
        const issuing = target.issuer.issue(order, signal()).then(
          () => "issued",
          () => "refused",
        );
        await new Promise((resolve) => setTimeout(resolve, index % 12));
        await target.issuer.revoke(ending(order.leaseId), signal());
        await issuing;
      }),
    );
    expect(await Promise.all(orders.map(({ leaseId }) => roles(leaseId)))).toEqual(orders.map(() => 0));
  });

  it("makes one role although the order comes twice", async () => {
    const order = target.order({}, {});
    const answers = await Promise.allSettled([target.issuer.issue(order, signal()), target.issuer.issue(order, signal())]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    const made = answers.flatMap((answer) => (answer.status === "fulfilled" ? [loginOf(answer.value)] : []));
    expect((await target.server.psql(made[0] ?? { username: "", password: "" }, "SELECT 1")).code).toBe(0);
    expect(await roles(order.leaseId)).toBe(1);
  });

  it("makes nothing of an order that reaches the server when its time is up", async () => {
    const order = target.order({ issuedAt: systemClock() - 61_000 }, {});
    await expect(target.issuer.issue(order, signal())).rejects.toMatchObject({
      name: "RetryableFailure",
      message: expect.stringContaining("the order came too late, or the server's clock is ahead of ours"),
    });
    expect(await roles(order.leaseId)).toBe(0);
  });

  it("makes nothing when the connection is cut in the middle, or what it made is found by the lease's id", async () => {
    for (let ms = 0; ms < 20; ms += 2) {
      const order = target.order({}, {});
      await target.issuer.issue(order, AbortSignal.timeout(ms)).catch(() => undefined);
      await target.issuer.revoke(ending(order.leaseId), signal());
      expect(await roles(order.leaseId)).toBe(0);
    }
  });

  it("ends a lease once for all who ask at once", async () => {
    const order = target.order({}, {});
    await target.issuer.issue(order, signal());
    const other = target.open();
    const answers = await Promise.all(
      [1, 2, 3].flatMap(() => [
        target.issuer.revoke(ending(order.leaseId), signal()),
        other.revoke(ending(order.leaseId), signal()).catch(() => "retry"),
      ]),
    );
    expect(answers).toContain("revoked");
    expect(await roles(order.leaseId)).toBe(0);
  });
});

describe("the fence's table", () => {
  it("forgets leases when nobody can come late any more, and no sooner", async () => {
    const order = target.order({}, {});
    await target.issuer.revoke(ending(order.leaseId), signal());
    const [kept] = await target.server.sql(
      `SELECT keep_until - now() > interval '24 hours' AS long FROM stint.fence WHERE lease = '${order.leaseId}'`,
      "app",
    );
    expect(kept).toEqual({ long: true });
    await target.server.sql(`UPDATE stint.fence SET keep_until = now() - interval '1 second' WHERE lease = '${order.leaseId}'`, "app");
    const later = target.open({}, { clock: () => systemClock() + 3_600_000 });
    await later.revoke(ending(newId("lease", systemClock())), signal());
    expect(await target.server.sql(`SELECT 1 FROM stint.fence WHERE lease = '${order.leaseId}'`, "app")).toEqual([]);
  });

  it("is built again when somebody dropped it", async () => {
    await target.server.sql("DROP TABLE stint.fence", "app");
    const order = target.order({}, {});
    await target.issuer.issue(order, signal());
    await target.server.sql("DROP TABLE stint.fence", "app");
    expect(await target.issuer.revoke(ending(order.leaseId), signal())).toBe("revoked");
  });

  it("is built once though many need it first", async () => {
    const issuer = target.open({ schema: "stint" });
    await target.server.sql("DROP TABLE stint.fence", "app");
    const issued = await Promise.all(Array.from({ length: 12 }, () => issuer.issue(target.order({}, {}), signal())));
    expect(issued).toHaveLength(12);
  });

  it("is never somebody else's, whose triggers would run as us", async () => {
    await target.server.sql("CREATE ROLE mallory NOLOGIN; CREATE SCHEMA trap AUTHORIZATION mallory", "app");
    await target.server.sql(
      "SET ROLE mallory; CREATE TABLE trap.fence (lease text PRIMARY KEY); GRANT ALL ON SCHEMA trap TO PUBLIC; GRANT ALL ON trap.fence TO PUBLIC",
      "app",
    );
    const order = target.order({}, {});
    await expect(target.open({ schema: "trap" }).issue(order, signal())).rejects.toMatchObject({
      name: "PermanentFailure",
      message: expect.stringContaining("the schema trap there, or its table fence, belongs to another role than ours"),
    });
    expect(await roles(order.leaseId)).toBe(0);
  });

  it("is not built without the right to: the message holds the SQL that an administrator must run", async () => {
    await expect(target.open({ schema: "missing" }).issue(target.order({}, {}), signal())).rejects.toMatchObject({
      name: "PermanentFailure",
      message: expect.stringContaining(`run CREATE SCHEMA "missing" AUTHORIZATION "stint"; in app`),
    });
  });
});

/** Until some session of the broker waits for a lock. */
async function waitsForLock(): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    if ((await target.server.sql("SELECT 1 FROM pg_stat_activity WHERE usename = 'stint' AND wait_event_type = 'Lock'")).length > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error("nobody waits");
}
