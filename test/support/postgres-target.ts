import type { Issuer, IssueOrder } from "../../domain/credential.ts";
import type { Secret } from "../../domain/secret.ts";
import type { TargetPorts } from "../../domain/target.ts";
import { systemClock } from "../../domain/time.ts";
import { postgresKind } from "../../issuers/postgres/kind.ts";
import { setupSql } from "../../issuers/postgres/fence.ts";
import { scramVerifier } from "../../issuers/postgres/scram.ts";
import { PostgresSettings, type PostgresParams } from "../../issuers/postgres/settings.ts";
import { issueOrder } from "./orders.ts";
import { startPostgres, type PsqlLogin, type TestPostgres, type TestPostgresOptions } from "./postgres.ts";
import { targetPorts } from "./target-ports.ts";

export const BROKER = "https://stint.test";
export const BROKER_PASSWORD = "first-password-of-the-broker";

/** A server prepared as the page tells an administrator: groups, tables, and the broker's role by the setup text. */
export interface PostgresTarget extends AsyncDisposable {
  readonly server: TestPostgres;
  readonly settings: PostgresSettings;
  readonly ports: TargetPorts;
  readonly issuer: Issuer<PostgresParams>;
  /** Another issuer at the same server, as another broker would have. Closed with the server. */
  open(settings?: Readonly<Record<string, unknown>>, ports?: Partial<TargetPorts>): Issuer<PostgresParams>;
  order(more?: Partial<IssueOrder<PostgresParams>>, params?: unknown): IssueOrder<PostgresParams>;
}

/** What a grant for a psql would see of the credential. */
export function loginOf(issued: {
  readonly credential: { readonly token: Secret; readonly facts?: Readonly<Record<string, unknown>> };
}): Required<PsqlLogin> {
  const { facts = {}, token } = issued.credential;
  return { username: String(facts["username"]), password: token.reveal(), database: String(facts["database"]) };
}

const GROUPS = `
  CREATE ROLE app_read NOLOGIN; CREATE ROLE app_write NOLOGIN;
  CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO app_read, app_write; GRANT CREATE ON SCHEMA app TO app_write;
  CREATE TABLE app.orders (id int); INSERT INTO app.orders VALUES (1), (2); GRANT SELECT ON app.orders TO app_read;
  CREATE TABLE app.ledger (id int); GRANT SELECT, INSERT ON app.ledger TO app_write;`;

export async function startPostgresTarget(
  more: Readonly<Record<string, unknown>> = {},
  options: TestPostgresOptions = {},
): Promise<PostgresTarget> {
  const server = await startPostgres(options);
  const issuers: Issuer<PostgresParams>[] = [];
  const base = {
    address: `127.0.0.1:${server.port}`,
    database: "app",
    user: "stint",
    password: "file:pw",
    roles: ["app_read", "app_write"],
    ...more,
  };
  const settings = PostgresSettings.parse(base);
  const ports = targetPorts(systemClock, BROKER);
  ports.secrets.set("file:pw", `${BROKER_PASSWORD}\n`);
  const open: PostgresTarget["open"] = (change = {}, changed = {}) => {
    const issuer = postgresKind.open(
      { name: "orders-db", owner: undefined, settings: PostgresSettings.parse({ ...base, ...change }) },
      { ...ports, ...changed },
    );
    issuers.push(issuer);
    return issuer;
  };
  await server.sql("CREATE DATABASE app");
  await server.sql(GROUPS, "app");
  await server.sql(setupSql(settings), "app");
  await server.sql(`ALTER ROLE stint PASSWORD '${await scramVerifier(BROKER_PASSWORD)}'`);
  const issuer = open();
  return {
    server,
    settings,
    ports,
    issuer,
    open,
    order: (change = {}, params = { role: "app_read" }) =>
      issueOrder(systemClock, { params: issuer.params.parse(params), grant: "orders", ...change }),
    async [Symbol.asyncDispose]() {
      for (const each of issuers) await each.close?.();
      await server.stop();
    },
  };
}
