import type { Issuer } from "../../domain/credential.ts";
import { BROKER_PASSWORD, startPostgresTarget } from "./postgres-target.ts";
import { DATABASE } from "./shop.ts";
import { testTarget } from "./test-issuers.ts";

/** What the storm needs of either. */
export interface StormTarget extends AsyncDisposable {
  readonly documents: string;
  readonly file: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly issuers: readonly Issuer[];
  alive(): Promise<readonly string[]>;
}

/** A file that stands for a target. */
export async function fileTarget(): Promise<StormTarget> {
  const target = await testTarget();
  return { ...target, documents: DATABASE, variables: {}, issuers: [target.issuer] };
}

/** A real Postgres, which makes roles. */
export async function postgresTarget(): Promise<StormTarget> {
  const target = await startPostgresTarget();
  return {
    documents: `
---
kind: Target
name: orders-db
owner: team-payments
issuer: postgres
address: 127.0.0.1:${target.server.port}
database: app
user: stint
password: env:STORM_PASSWORD
roles: [app_read]
${DATABASE.replace("issuer: test", "target: orders-db, role: app_read")}`,
    file: "",
    variables: { STORM_PASSWORD: BROKER_PASSWORD },
    issuers: [],
    alive: async () =>
      (await target.server.sql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'lease\\_%'")).map(({ rolname }) => String(rolname)),
    [Symbol.asyncDispose]: () => target[Symbol.asyncDispose](),
  };
}
