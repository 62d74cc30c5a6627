import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { parseAllDocuments } from "yaml";
import { setupSql } from "../../../issuers/postgres/fence.ts";
import { clientPlaceOf, placeOf, postgresParams, PostgresSettings, tlsModeOf } from "../../../issuers/postgres/settings.ts";
import { page, table } from "../../docs/pages.ts";

const GOOD = { address: "db.internal:5432", user: "stint", password: "file:pw", roles: ["app_read", "app_write"] };
const problems = (change: Readonly<Record<string, unknown>>): string => {
  const result = PostgresSettings.safeParse({ ...GOOD, ...change });
  return result.success ? "" : result.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ");
};
/** What people try when they try to get out of a name. */
const ESCAPES = [
  'app"; DROP ROLE admin; --',
  "app'; DROP",
  "app\u0000",
  "app\nSET",
  "a b",
  "",
  "x".repeat(64),
  "Ａpp",
  "app;",
  "$1",
  "1st",
  "app\\",
  'U&"\\0061"',
];

describe("a Postgres target", () => {
  it("says where it is, as whom and with which roles", () => {
    const settings = PostgresSettings.parse(GOOD);
    expect(placeOf(settings)).toEqual({ host: "db.internal", port: 5432 });
    expect(tlsModeOf(settings)).toBe("verify-full");
    expect(settings).toMatchObject({ database: "postgres", owned: "reassign", schema: "stint", connections: 8 });
  });

  it.each([
    [{ address: "db" }, { host: "db", port: 5432 }],
    [{ address: "[::1]:6000" }, { host: "::1", port: 6000 }],
    [
      { address: undefined, socket: "/run/postgresql" },
      { host: "/run/postgresql", port: 5432 },
    ],
    [
      { address: undefined, socket: "/run/postgresql/" },
      { host: "/run/postgresql", port: 5432 },
    ],
    [
      { address: undefined, socket: "/run/pg/.s.PGSQL.5433" },
      { host: "/run/pg", port: 5433 },
    ],
  ])("is found at %j", (change, place) => {
    expect(placeOf(PostgresSettings.parse({ ...GOOD, ...change }))).toEqual(place);
  });

  it("is asked for TLS unless it is on this machine, or somebody says otherwise", () => {
    const mode = (change: object): string => tlsModeOf(PostgresSettings.parse({ ...GOOD, ...change }));
    expect(mode({ address: "127.0.0.1:5432" })).toBe("disable");
    expect(mode({ address: "127.0.0.1.evil.example:5432" })).toBe("verify-full");
    expect(mode({ address: "localhost", tls: { ca_file: "ca.pem" } })).toBe("verify-full");
    expect(mode({ address: undefined, socket: "/run/postgresql" })).toBe("disable");
    expect(mode({ tls: { mode: "disable" } })).toBe("disable");
  });

  it("may be known to workloads by another name", () => {
    expect(clientPlaceOf(PostgresSettings.parse({ ...GOOD, client_address: "db.acme.dev:6432" }))).toEqual({
      host: "db.acme.dev",
      port: 6432,
    });
  });

  it.each([
    [{ socket: "/run/postgresql" }, "address: say either `address` or `socket`"],
    [{ address: undefined }, "address: say either `address` or `socket`"],
    [{ address: "db:70000" }, "address: must be host:port; its port is above 65535"],
    [{ address: "user:pw@db" }, "address: must be host:port"],
    [{ password: "hunter2" }, "password: must be env:NAME or file:PATH, never the password itself"],
    [{ roles: [] }, "roles: "],
    [{ roles: ["app_read", "app_read"] }, "roles: names a role twice"],
    [{ roles: ["pg_execute_server_program"] }, "roles.0: gives whoever has it the whole server"],
    [{ roles: ["pg_write_all_data"] }, "roles.0: may lock our own table"],
    [{ roles: ["pg_write_server_files"] }, "roles.0: gives whoever has it the whole server"],
    [{ roles: ["postgres"] }, "roles.0: must be a role made for workloads"],
    [{ roles: ["public"] }, "roles.0: must be a role made for workloads"],
    [{ roles: ["lease_01m827xvy4f2vtb54y52hqbw52"] }, "roles.0: must be a role made for workloads"],
    [{ roles: ["stint"] }, "user: must be none of the roles"],
    [{ reassign_to: "stint" }, "user: must be none of the roles"],
    [{ schema: "public" }, "schema: must be a schema of our own"],
    [{ schema: "pg_catalog" }, "schema: must be a schema of our own"],
    [{ connections: 9 }, "connections: "],
    [{ connections: 1 }, "connections: "],
    [{ statement_timeout: "1h" }, "statement_timeout: must be a duration from 1s to 15s"],
    [{ tls: { mode: "require" } }, "tls.mode: "],
    [{ tls: { mode: "verify-ca" } }, "tls: `verify-ca` needs a `ca_file`"],
    [{ address: undefined, socket: "/run/postgresql", tls: { mode: "verify-full" } }, "tls: there is no TLS on a unix socket"],
    [{ socket: "relative", address: undefined }, "socket: must be an absolute path"],
    [{ passwort: "env:A" }, "passwort"],
  ])("is refused with %j", (change, message) => {
    expect(problems(change)).toContain(message);
  });

  it.each(ESCAPES)("takes no name that could get out of its quotes: %j", (name) => {
    for (const member of ["user", "database", "schema", "reassign_to"]) expect(problems({ [member]: name })).toContain(`${member}: `);
    expect(problems({ roles: [name] })).toContain("roles.0: ");
    expect(postgresParams(PostgresSettings.parse(GOOD)).safeParse({ role: "app_read", database: name }).success).toBe(false);
    expect(postgresParams(PostgresSettings.parse(GOOD)).safeParse({ role: name }).success).toBe(false);
  });

  it("takes no name but of letters, digits and a few signs, whatever it is", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.string()), (name) => {
        if (problems({ database: name }) === "") expect(name).toMatch(/^[A-Za-z_][A-Za-z0-9_$-]{0,62}$/);
      }),
    );
  });
});

describe("a grant at a Postgres target", () => {
  const params = postgresParams(PostgresSettings.parse({ ...GOOD, database: "shop" }));

  it("names one of the target's roles, or several", () => {
    expect(params.parse({ role: "app_read" })).toEqual({ role: "app_read", database: "shop" });
    expect(params.parse({ role: ["app_read", "app_write"], connection_limit: 3 })).toMatchObject({ connection_limit: 3 });
  });

  it("need not name the only one", () => {
    expect(postgresParams(PostgresSettings.parse({ ...GOOD, roles: ["app_read"] })).parse({})).toMatchObject({ role: "app_read" });
  });

  it.each([
    [{}, "must be one of the target's roles: app_read, app_write"],
    [{ role: "admin" }, "must be one of the target's roles: app_read, app_write"],
    [{ role: [] }, ""],
    [{ role: ["app_read", "app_read"] }, ""],
    [{ role: "app_read", connection_limit: 0 }, ""],
    [{ role: "app_read", connection_limit: -1 }, ""],
    [{ role: "app_read", superuser: true }, "superuser"],
  ])("is refused with %j", (settings, message) => {
    const result = params.safeParse(settings);
    expect(result.success).toBe(false);
    expect(JSON.stringify(result.error?.issues)).toContain(message);
  });
});

describe("the page about Postgres roles", () => {
  const text = page("docs/issuers/postgres.md");
  const [, example = ""] = /```yaml policy\n(.*?)```/s.exec(text.text) ?? [];
  const documents = parseAllDocuments(example).map((document) => document.toJSON() as Readonly<Record<string, unknown>>);
  const { kind: _kind, name: _name, owner: _owner, issuer: _issuer, ...settings } = documents.find(({ kind }) => kind === "Target") ?? {};

  it("has every setting", () => {
    const named = (heading: string): readonly string[] => table(text, heading).map(([cell = ""]) => cell.replaceAll("`", ""));
    expect(named("| Setting of the target |")).toEqual(Object.keys(PostgresSettings.shape));
    expect(named("| Setting of the grant |")).toEqual(Object.keys(postgresParams(PostgresSettings.parse(GOOD)).shape));
  });

  it("shows the setup of its own example", () => {
    const [, sql] = /```sql setup\n(.*?)```/s.exec(text.text) ?? [];
    expect(sql).toBe(setupSql(PostgresSettings.parse(settings)));
  });
});
