import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { Issuer, RevokeOrder } from "../../../domain/credential.ts";
import { newId, type LeaseId } from "../../../domain/ids.ts";
import { systemClock } from "../../../domain/time.ts";
import type { PostgresParams } from "../../../issuers/postgres/settings.ts";
import { loginOf, startPostgresTarget, type PostgresTarget } from "../../support/postgres-target.ts";

let target: PostgresTarget;
beforeAll(async () => {
  target = await startPostgresTarget();
  await target.server.sql("CREATE DATABASE other");
  for (const database of ["app", "other"]) await target.server.sql("GRANT CREATE ON SCHEMA public TO app_write", database);
});
afterAll(async () => {
  await target[Symbol.asyncDispose]();
});

const signal = (): AbortSignal => AbortSignal.timeout(15_000);
const ending = (leaseId: LeaseId): RevokeOrder => ({ leaseId, handle: undefined, expiresAt: systemClock() });
const writer = { role: ["app_write", "app_read"] };
const exists = async (role: string): Promise<boolean> =>
  (await target.server.sql(`SELECT 1 FROM pg_roles WHERE rolname = '${role}'`)).length > 0;
const ownerOf = async (table: string, database: string): Promise<unknown> =>
  (await target.server.sql(`SELECT tableowner AS owner FROM pg_tables WHERE tablename = '${table}'`, database))[0]?.["owner"];

async function listed(issuer: Issuer<PostgresParams>): Promise<readonly LeaseId[]> {
  const found: LeaseId[] = [];
  for await (const id of issuer.list?.(signal()) ?? []) found.push(id);
  return found;
}

async function issued(issuer: Issuer<PostgresParams> = target.issuer, params: unknown = writer) {
  const order = target.order({}, params);
  const login = loginOf(await issuer.issue(order, signal()));
  return { leaseId: order.leaseId, login };
}

describe("a Postgres role that has left traces", () => {
  it("ends with its session in a transaction and its tables in two databases, which live on in its group", async () => {
    const { leaseId, login } = await issued();
    for (const database of ["app", "other"])
      expect(
        (await target.server.psql({ ...login, database }, "CREATE TABLE public.kept (id int); INSERT INTO public.kept VALUES (7)")).code,
      ).toBe(0);
    const session = await target.server.client(login);
    await session.query("BEGIN; SELECT 1; LOCK TABLE public.kept");
    expect(await target.issuer.revoke(ending(leaseId), signal())).toBe("revoked");
    await expect(session.query("SELECT 1")).rejects.toThrow(/terminat|not queryable/);
    expect(await exists(login.username)).toBe(false);
    for (const database of ["app", "other"]) {
      expect(await ownerOf("kept", database)).toBe("app_read");
      expect(await target.server.sql("SELECT id FROM public.kept", database)).toEqual([{ id: 7 }]);
    }
    expect((await target.server.psql(login, "SELECT 1")).code).toBe(2);
    for (const database of ["app", "other"]) await target.server.sql("DROP TABLE public.kept", database);
  });

  it("hands its things to whom the target names", async () => {
    await target.server.sql("CREATE ROLE heir NOLOGIN; GRANT heir TO stint");
    const issuer = target.open({ reassign_to: "heir" });
    const { leaseId, login } = await issued(issuer);
    await target.server.psql(login, "CREATE TABLE public.inherited (id int)");
    await issuer.revoke(ending(leaseId), signal());
    expect(await ownerOf("inherited", "app")).toBe("heir");
  });

  it("takes its things along where the target says so, but nothing of others", async () => {
    const issuer = target.open({ owned: "drop" });
    const [alone, leaned] = [await issued(issuer), await issued(issuer)];
    await target.server.psql(alone.login, "CREATE TABLE public.alone (id int)");
    await target.server.psql(leaned.login, "CREATE TABLE public.leaned (id int)");
    await target.server.sql("CREATE VIEW public.leaning AS SELECT * FROM public.leaned", "app");
    for (const { leaseId } of [alone, leaned]) expect(await issuer.revoke(ending(leaseId), signal())).toBe("revoked");
    expect(await ownerOf("alone", "app")).toBeUndefined();
    expect(await ownerOf("leaned", "app")).toBe("app_read");
    expect(await target.server.sql("SELECT * FROM public.leaning", "app")).toEqual([]);
  });

  it("goes although others of ours gave it something of theirs", async () => {
    const [giver, taker] = [await issued(), await issued()];
    await target.server.psql(giver.login, `CREATE TABLE public.given (id int); GRANT ALL ON public.given TO "${taker.login.username}"`);
    expect(await target.issuer.revoke(ending(taker.leaseId), signal())).toBe("revoked");
    expect(await target.issuer.revoke(ending(giver.leaseId), signal())).toBe("revoked");
  });

  it("is dead and says what to do when somebody else granted it something directly, which only they can take back", async () => {
    const { leaseId, login } = await issued();
    const role = `"${login.username}"`;
    await target.server.sql(`GRANT SELECT ON app.ledger TO ${role}; GRANT CONNECT ON DATABASE other TO ${role}`, "app");
    await expect(target.issuer.revoke(ending(leaseId), signal())).rejects.toMatchObject({
      name: "PermanentFailure",
      message: `the role ${login.username} can log in no more, but was granted things directly that only whoever owns them can take back: as a superuser, run DROP OWNED BY ${role} in app`,
    });
    expect((await target.server.psql(login, "SELECT 1")).code).toBe(2);
    await target.server.sql(`DROP OWNED BY ${role}`, "app");
    expect(await target.issuer.revoke(ending(leaseId), signal())).toBe("revoked");
    expect(await exists(login.username)).toBe(false);
  });

  it("goes with its prepared transactions, whatever they are called", async () => {
    const { leaseId, login } = await issued();
    const session = await target.server.client(login);
    await session.query("BEGIN; CREATE TABLE public.prepared (id int); PREPARE TRANSACTION 'it''s \"mine\"; --'");
    expect(await target.issuer.revoke(ending(leaseId), signal())).toBe("revoked");
    expect(await target.server.sql("SELECT gid FROM pg_prepared_xacts")).toEqual([]);
    expect(await exists(login.username)).toBe(false);
  });

  it("never makes us the owner of what it left", async () => {
    const { leaseId, login } = await issued();
    await target.server.psql(login, "CREATE FUNCTION public.f() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user::text'");
    await target.issuer.revoke(ending(leaseId), signal());
    const next = await issued();
    expect((await target.server.psql(next.login, "SELECT public.f()")).stdout).toBe("app_write");
  });

  it("cannot be kept by holding what it can hold: its own lock on anything ends with its session", async () => {
    const { leaseId, login } = await issued();
    const session = await target.server.client(login);
    await session.query(`SELECT pg_advisory_lock(n) FROM generate_series(1, 100) n`);
    await session.query("BEGIN; LOCK TABLE pg_catalog.pg_class IN ACCESS SHARE MODE");
    expect(await target.issuer.revoke(ending(leaseId), signal())).toBe("revoked");
  });

  it("is dead although others hold a lock on what it owned, and says what is in the way", async () => {
    const issuer = target.open({ lock_timeout: "200ms" });
    const { leaseId, login } = await issued(issuer);
    await target.server.psql(login, "CREATE TABLE public.held (id int); GRANT SELECT ON public.held TO app_read");
    const reader = await issued(issuer, { role: "app_read" });
    const session = await target.server.client(reader.login);
    await session.query("BEGIN; SELECT * FROM public.held");
    await expect(issuer.revoke(ending(leaseId), signal())).rejects.toMatchObject({
      name: "RetryableFailure",
      message: expect.stringMatching(
        /^the role lease_\w+ can log in no more, but left things in the database app that could not be cleared: 55P03 .*somebody holds a lock/,
      ),
    });
    expect((await target.server.psql(login, "SELECT 1")).code).toBe(2);
    await session.query("COMMIT");
    expect(await issuer.revoke(ending(leaseId), signal())).toBe("revoked");
    expect(await exists(login.username)).toBe(false);
  });
});

describe("what is not ours", () => {
  it("is left alone although it has a lease's name, and is not listed", async () => {
    const leaseId = newId("lease", systemClock());
    await target.server.sql(`CREATE ROLE "${leaseId}" LOGIN`);
    await expect(target.issuer.revoke(ending(leaseId), signal())).rejects.toMatchObject({
      name: "PermanentFailure",
      message: expect.stringContaining("does not carry our mark"),
    });
    expect(await target.server.sql(`SELECT rolcanlogin FROM pg_roles WHERE rolname = '${leaseId}'`)).toEqual([{ rolcanlogin: true }]);
    expect(await listed(target.issuer)).not.toContain(leaseId);
  });

  it("does not keep what is ours from ending in the same batch", async () => {
    const theirs = newId("lease", systemClock());
    await target.server.sql(`CREATE ROLE "${theirs}"`);
    const ours = await Promise.all([issued(), issued(), issued()]);
    const answers = await Promise.allSettled(
      [theirs, ...ours.map(({ leaseId }) => leaseId)].map((id) => target.issuer.revoke(ending(id), signal())),
    );
    expect(answers.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled", "fulfilled"]);
  });

  it("includes what another broker made at the same server", async () => {
    const other = target.open({}, { broker: "https://other.test" });
    const { leaseId, login } = await issued(other);
    await expect(target.issuer.revoke(ending(leaseId), signal())).rejects.toThrow("does not carry our mark");
    expect((await target.server.psql(login, "SELECT 1")).code).toBe(0);
    expect(await listed(other)).toEqual([leaseId]);
    expect(await listed(target.issuer)).not.toContain(leaseId);
    expect(await other.revoke(ending(leaseId), signal())).toBe("revoked");
  });
});
