import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { RevokeOrder } from "../../../domain/credential.ts";
import type { LeaseId } from "../../../domain/ids.ts";
import { systemClock } from "../../../domain/time.ts";
import { loginOf, startPostgresTarget, type PostgresTarget } from "../../support/postgres-target.ts";

let target: PostgresTarget;
beforeAll(async () => {
  target = await startPostgresTarget({ lock_timeout: "300ms" });
  await target.server.sql("GRANT CREATE ON SCHEMA public TO app_write", "app");
});
afterAll(async () => {
  await target[Symbol.asyncDispose]();
});

const signal = (): AbortSignal => AbortSignal.timeout(15_000);
const ending = (leaseId: LeaseId): RevokeOrder => ({ leaseId, handle: undefined, expiresAt: systemClock() });
const exists = async (role: string): Promise<boolean> =>
  (await target.server.sql(`SELECT 1 FROM pg_roles WHERE rolname = '${role}'`)).length > 0;
async function issued() {
  const order = target.order({}, { role: ["app_write", "app_read"] });
  return { leaseId: order.leaseId, login: loginOf(await target.issuer.issue(order, signal())) };
}

describe("a workload that clings to its role", () => {
  it.each([
    ["changes its own password and leaves the change uncommitted", "BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine'"],
    ["sets something for itself and leaves that uncommitted", "BEGIN; ALTER ROLE CURRENT_USER SET work_mem = '1MB'"],
    ["prepares the change of its own password", "BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine'; PREPARE TRANSACTION 'cling'"],
    ["locks what it can of the catalog", "BEGIN; LOCK TABLE pg_catalog.pg_auth_members IN ACCESS SHARE MODE"],
  ])("loses it although it %s", async (_, statements) => {
    const { leaseId, login } = await issued();
    const session = await target.server.client(login);
    await session.query(statements);
    expect(await target.issuer.revoke(ending(leaseId), signal())).toBe("revoked");
    expect(await exists(login.username)).toBe(false);
    await expect(session.query("SELECT 1")).rejects.toThrow();
    expect((await target.server.psql({ ...login, password: "mine" }, "SELECT 1")).code).toBe(2);
    expect(await target.server.sql("SELECT gid FROM pg_prepared_xacts")).toEqual([]);
  });

  it("does not hold up others that end with it", async () => {
    const [clinging, ...others] = await Promise.all([issued(), issued(), issued()]);
    const session = await target.server.client(clinging.login);
    await session.query("BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine'");
    const ended = await Promise.all([clinging, ...others].map(({ leaseId }) => target.issuer.revoke(ending(leaseId), signal())));
    expect(ended).toEqual(["revoked", "revoked", "revoked"]);
  });

  it("loses it although another lease that may act for it, as before PostgreSQL 15 it could let one do itself, holds on to it", async () => {
    const [clinging, friend] = [await issued(), await issued()];
    await target.server.sql(`GRANT "${clinging.login.username}" TO "${friend.login.username}"`);
    const session = await target.server.client(friend.login);
    await session.query(`SET ROLE "${clinging.login.username}"; BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine'`);
    expect(await target.issuer.revoke(ending(clinging.leaseId), signal())).toBe("revoked");
    expect(await exists(clinging.login.username)).toBe(false);
    expect((await target.server.psql(friend.login, "SELECT 1")).code).toBe(0);
    expect(await target.issuer.revoke(ending(friend.leaseId), signal())).toBe("revoked");
  });

  it("cannot lengthen its life, make roles, grant what it has no right to, or watch us", async () => {
    const { login, leaseId } = await issued();
    for (const statement of [
      "ALTER ROLE CURRENT_USER VALID UNTIL 'infinity'",
      "ALTER ROLE CURRENT_USER CREATEROLE",
      "CREATE ROLE mine LOGIN",
      "GRANT app_write TO stint",
      "SET ROLE stint",
      "SELECT * FROM stint.fence",
      "COMMENT ON ROLE CURRENT_USER IS ''",
      "ALTER ROLE CURRENT_USER RENAME TO mine",
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'stint'",
      "CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()",
    ])
      expect([
        statement,
        (await target.server.psql(login, `\\set ON_ERROR_STOP on\n${statement}`)).code === 0 && !statement.startsWith("SELECT pg_term"),
      ]).toEqual([statement, false]);
    expect(await target.issuer.revoke(ending(leaseId), signal())).toBe("revoked");
  });

  it("leaves nobody alive whom it made a member of itself", async () => {
    const [giver, taker] = [await issued(), await issued()];
    await target.server.sql(`GRANT "${giver.login.username}" TO "${taker.login.username}"`);
    const session = await target.server.client(taker.login);
    await session.query(`SET ROLE "${giver.login.username}"; BEGIN; CREATE TABLE public.lent (id int)`);
    await target.issuer.revoke(ending(giver.leaseId), signal()).catch(() => undefined);
    expect((await target.server.psql(giver.login, "SELECT 1")).code).toBe(2);
    expect(await target.issuer.revoke(ending(taker.leaseId), signal())).toBe("revoked");
    expect(["revoked", "already_gone"]).toContain(await target.issuer.revoke(ending(giver.leaseId), signal()));
    expect(await exists(giver.login.username)).toBe(false);
  });
});
