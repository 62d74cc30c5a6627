import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { join } from "node:path";
import type { LeaseId } from "../../../domain/ids.ts";
import { systemClock } from "../../../domain/time.ts";
import { issuerContract } from "../../contract/issuer-contract.ts";
import { BROKER_PASSWORD, loginOf, startPostgresTarget, type PostgresTarget } from "../../support/postgres-target.ts";

let target: PostgresTarget;
beforeAll(async () => {
  target = await startPostgresTarget();
});
afterAll(async () => {
  await target[Symbol.asyncDispose]();
});
const signal = (): AbortSignal => AbortSignal.timeout(15_000);

issuerContract("postgres", async () => {
  const issuer = target.open();
  const passwords = new Map<string, string>();
  return {
    issuer: {
      ...issuer,
      issue: async (order, abort) => {
        const issued = await issuer.issue(order, abort);
        passwords.set(issued.credential.token.reveal(), loginOf(issued).username);
        return issued;
      },
    },
    settings: { role: "app_read" },
    now: systemClock,
    works: async (password) =>
      (await target.server.psql({ username: passwords.get(password) ?? "", password, database: "app" }, "SELECT 1")).code === 0,
    [Symbol.asyncDispose]: async () => undefined,
  };
});

describe("a Postgres credential, as psql sees it", () => {
  it("opens what its role may, and nothing else", async () => {
    const issued = await target.issuer.issue(target.order(), signal());
    const login = loginOf(issued);
    expect(issued.credential).toMatchObject({ type: "postgres", member: "password" });
    expect(issued.credential.facts).toEqual({
      host: "127.0.0.1",
      port: target.server.port,
      database: "app",
      username: login.username,
      sslmode: "disable",
    });
    expect(await target.server.psql(login, "SELECT count(*) FROM app.orders")).toEqual({ code: 0, stdout: "2", stderr: "" });
    expect((await target.server.psql(login, "SELECT * FROM app.ledger")).stderr).toContain("permission denied for table ledger");
    expect((await target.server.psql(login, "CREATE ROLE mine")).stderr).toContain("permission denied to create role");
    expect((await target.server.psql(login, "SELECT * FROM stint.fence")).stderr).toContain("permission denied for schema stint");
    expect((await target.server.psql({ ...login, password: "x" }, "SELECT 1")).stderr).toContain("password authentication failed");
  });

  it("is refused once its lease has ended, and nothing of it is left", async () => {
    const order = target.order();
    const login = loginOf(await target.issuer.issue(order, signal()));
    expect(await target.issuer.revoke({ leaseId: order.leaseId, handle: undefined, expiresAt: order.expiresAt }, signal())).toBe("revoked");
    const refused = await target.server.psql(login, "SELECT 1");
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(`password authentication failed for user "${login.username}"`);
    expect(await target.server.sql(`SELECT 1 FROM pg_roles WHERE rolname = '${login.username}'`)).toEqual([]);
  });

  it("stops letting anybody in at its end, though nobody revokes it", async () => {
    const order = target.order({ expiresAt: systemClock() - 1 });
    const login = loginOf(await target.issuer.issue(order, signal()));
    expect((await target.server.psql(login, "SELECT 1")).code).toBe(2);
    await target.issuer.renew?.({ ...order, expiresAt: systemClock() + 60_000 }, signal());
    expect((await target.server.psql(login, "SELECT 1")).code).toBe(0);
  });

  it("has as many sessions as its grant allows", async () => {
    const login = loginOf(await target.issuer.issue(target.order({}, { role: "app_read", connection_limit: 1 }), signal()));
    await target.server.client(login);
    expect((await target.server.psql(login, "SELECT 1")).stderr).toContain("too many connections for role");
  });

  it("is in every role that its grant names", async () => {
    const login = loginOf(await target.issuer.issue(target.order({}, { role: ["app_read", "app_write"] }), signal()));
    expect((await target.server.psql(login, "SELECT count(*) FROM app.orders, app.ledger")).code).toBe(0);
  });

  it("is nowhere in the server's log, statistics or catalogs but as its verifier", async () => {
    const issued = await target.issuer.issue(target.order(), signal());
    const login = loginOf(issued);
    await target.server.psql(login, "SELECT 1");
    const log = await target.server.log();
    expect(log).toContain(`CREATE ROLE "${login.username}"`);
    expect(log).not.toContain(login.password);
    expect(log).not.toContain(BROKER_PASSWORD);
    const seen = JSON.stringify(await target.server.sql("SELECT query FROM pg_stat_activity UNION ALL SELECT rolpassword FROM pg_authid"));
    expect(seen).toContain("SCRAM-SHA-256$4096:");
    expect(seen).not.toContain(login.password);
  });

  it("is made over the server's unix socket too, and says so", async () => {
    const issuer = target.open({ address: undefined, socket: join(target.server.folder, `.s.PGSQL.${target.server.port}`) });
    const issued = await issuer.issue(target.order(), signal());
    expect(issued.credential.facts).toMatchObject({ host: target.server.folder, port: target.server.port, sslmode: "disable" });
    expect((await target.server.psql(loginOf(issued), "SELECT 1")).code).toBe(0);
  });

  it("names what workloads reach the server by, where that is something else", async () => {
    const issued = await target.open({ client_address: "db.acme.dev:6432" }).issue(target.order(), signal());
    expect(issued.credential.facts).toMatchObject({ host: "db.acme.dev", port: 6432, sslmode: "prefer" });
  });

  it("is one role with the lease's exact name, whatever its asker is called", async () => {
    const evil = `x'; DROP ROLE app_read; -- "\\ \u0000\n\u202e`;
    const order = target.order({ subject: evil, workload: evil, trust: evil, grant: evil, purpose: evil, scope: [evil] });
    const login = loginOf(await target.issuer.issue(order, signal()));
    expect(login.username).toBe(order.leaseId);
    expect(await target.server.sql(`SELECT rolname FROM pg_roles WHERE rolname = '${order.leaseId}'`)).toHaveLength(1);
    expect(await target.server.sql("SELECT 1 FROM pg_roles WHERE rolname = 'app_read'")).toHaveLength(1);
    expect(await target.server.log()).not.toContain("DROP ROLE app_read");
  });

  it("carries its broker's name, however that is written, and is found and ended by it", async () => {
    const issuer = target.open({}, { broker: `https://o'hara.test/\\"; --$1$$` });
    const order = target.order();
    await issuer.issue(order, signal());
    const listed: string[] = [];
    for await (const id of issuer.list?.(signal()) ?? []) listed.push(id);
    expect(listed).toEqual([order.leaseId]);
    expect(await issuer.revoke({ leaseId: order.leaseId, handle: undefined, expiresAt: 0 }, signal())).toBe("revoked");
  });

  it("is not made of a lease's id that is none", async () => {
    for (const leaseId of [`lease_x"; DROP ROLE app_read; --`, "lease_", "task_01m827xvy4f2vtb54y52hqbw52"] as const) {
      await expect(target.issuer.issue(target.order({ leaseId: leaseId as LeaseId }), signal())).rejects.toMatchObject({
        name: "PermanentFailure",
      });
      await expect(target.issuer.revoke({ leaseId: leaseId as LeaseId, handle: undefined, expiresAt: 0 }, signal())).rejects.toMatchObject({
        name: "PermanentFailure",
      });
    }
  });
});
