import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { systemClock } from "../../../domain/time.ts";
import { startPostgresTarget, type PostgresTarget } from "../../support/postgres-target.ts";

let target: PostgresTarget;
beforeAll(async () => {
  target = await startPostgresTarget();
});
afterAll(async () => {
  await target[Symbol.asyncDispose]();
});
const examine = async (issuer = target.issuer) => {
  const facts = await issuer.examine?.(AbortSignal.timeout(10_000));
  if (facts === undefined) throw new Error("it cannot be examined");
  return facts;
};

describe("what is known of a Postgres target", () => {
  it("is its version, and no warning when it was prepared as the page says", async () => {
    const facts = await examine();
    expect(facts.server).toMatch(/^PostgreSQL \d+\.\d+$/);
    expect(facts).toMatchObject({ passwordChangedAt: undefined, warnings: [] });
  });

  it.each([
    [
      "ALTER ROLE stint SUPERUSER",
      "ALTER ROLE stint NOSUPERUSER",
      `our role stint is a superuser: whoever gets its password has the whole server: ALTER ROLE "stint" NOSUPERUSER`,
    ],
    ["ALTER ROLE stint CREATEDB", "ALTER ROLE stint NOCREATEDB", `our role stint may create databases: ALTER ROLE "stint" NOCREATEDB`],
    ["ALTER ROLE stint REPLICATION", "ALTER ROLE stint NOREPLICATION", "our role stint may replicate, that is read everything"],
    ["ALTER ROLE stint BYPASSRLS", "ALTER ROLE stint NOBYPASSRLS", "our role stint passes by row-level security"],
    ["ALTER ROLE stint NOCREATEROLE", "ALTER ROLE stint CREATEROLE", `our role stint may not create roles: ALTER ROLE "stint" CREATEROLE`],
    [
      "ALTER ROLE stint NOINHERIT",
      "ALTER ROLE stint INHERIT",
      `our role stint has no use of the roles it is in: ALTER ROLE "stint" INHERIT`,
    ],
    ["REVOKE pg_signal_backend FROM stint", "GRANT pg_signal_backend TO stint", `GRANT pg_signal_backend TO "stint"`],
    ["REVOKE app_write FROM stint", "GRANT app_write TO stint WITH ADMIN OPTION", `GRANT "app_write" TO "stint" WITH ADMIN OPTION`],
    ["ALTER ROLE app_read LOGIN", "ALTER ROLE app_read NOLOGIN", `the role app_read may log in itself`],
    ["ALTER ROLE app_read CREATEROLE", "ALTER ROLE app_read NOCREATEROLE", "the role app_read may do more than read and write"],
  ])("is what its role may too little or too much, with the SQL that mends it: %s", async (breakIt, mend, warning) => {
    await target.server.sql(breakIt);
    expect((await examine()).warnings.join("\n")).toContain(warning);
    await target.server.sql(mend);
    expect((await examine()).warnings).toEqual([]);
  });

  it("is what is not there: a role, a schema, or somebody else's schema", async () => {
    await target.server.sql("CREATE SCHEMA theirs", "app");
    expect((await examine(target.open({ roles: ["app_read", "app_gone"] }))).warnings).toContainEqual(
      expect.stringContaining(`the role app_gone does not exist: CREATE ROLE "app_gone" NOLOGIN`),
    );
    expect((await examine(target.open({ schema: "gone" }))).warnings).toEqual([
      `our schema is missing: CREATE SCHEMA "gone" AUTHORIZATION "stint" in app`,
    ]);
    expect((await examine(target.open({ schema: "theirs" }))).warnings).toEqual([
      "the schema theirs belongs to another role: give the target another `schema`",
    ]);
    expect((await examine(target.open({ reassign_to: "heirless" }))).warnings).toEqual([
      `the role heirless does not exist: CREATE ROLE "heirless" NOLOGIN`,
    ]);
  });

  it("is a role that could lock the table which ends depend on, by whatever way it may", async () => {
    await target.issuer.issue(target.order(), AbortSignal.timeout(15_000));
    await target.server.sql(
      "CREATE ROLE writes_all NOLOGIN; GRANT pg_write_all_data TO writes_all; GRANT writes_all TO stint WITH ADMIN OPTION",
    );
    expect((await examine(target.open({ roles: ["writes_all"] }))).warnings).toEqual([
      "the role writes_all may write to our table stint.fence: whoever has it can lock it, and then nothing is ended there",
    ]);
  });

  it("is a clock that is not ours", async () => {
    const { warnings } = await examine(target.open({}, { clock: () => systemClock() - 10_000 }));
    expect(warnings).toEqual([expect.stringMatching(/^the server's clock is (?:9|10)\d{3,4} ms ahead of ours/)]);
  });

  it("is a number of roles that slows the server down", async () => {
    await target.server.sql(
      "DO $$ BEGIN FOR i IN 1..2001 LOOP EXECUTE format('CREATE ROLE many_%s; GRANT many_%s TO stint', i, i); END LOOP; END $$",
    );
    expect((await examine()).warnings).toEqual([
      expect.stringMatching(/^our role is in 200\d roles, and making or ending one takes longer/),
    ]);
  });
});
