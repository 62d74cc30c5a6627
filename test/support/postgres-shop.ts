import type { Secret } from "../../domain/secret.ts";
import type { LeaseId } from "../../domain/ids.ts";
import { origin, type BrokerSettings, type TestBroker } from "./broker.ts";
import { BROKER_PASSWORD, loginOf, type PostgresTarget } from "./postgres-target.ts";
import { DATABASE, request, type Shop } from "./shop.ts";

/** The shop's database as a Target, and the grant of its roles (`database`). */
export const ordersDb = ({ server }: Pick<PostgresTarget, "server">, address = `127.0.0.1:${server.port}`): string => `
---
kind: Target
name: orders-db
owner: team-payments
issuer: postgres
address: ${address}
database: app
user: stint
password: env:ORDERS_DB_PASSWORD
roles: [app_read]
${DATABASE.replace("issuer: test", "target: orders-db")}`;

export const ORDERS_DB: Pick<BrokerSettings, "variables"> = { variables: { ORDERS_DB_PASSWORD: BROKER_PASSWORD } };

/** A role, as a workload is given one. */
export interface Role {
  readonly lease: LeaseId;
  readonly username: string;
  readonly password: string;
  readonly taskToken: Secret;
}

/** Opens a task and asks for a credential of this grant in it. */
export async function askForRole(shop: Pick<Shop, "evidence">, broker: TestBroker, grant = "database"): Promise<Role> {
  const evidence = await shop.evidence({ run_id: `${Math.random()}` });
  const { task, taskToken } = await broker.services.tasks.open({
    evidence,
    purpose: undefined,
    parent: undefined,
    ttlMs: undefined,
    heartbeatMs: undefined,
    idempotency: undefined,
    origin: origin("POST /v1/tasks"),
  });
  const issued = await broker.services.tasks.credential({ ...request(grant), grant, taskId: task.id, taskToken });
  const { username } = loginOf(issued);
  return { lease: issued.lease.id, username, password: issued.credential.token.reveal(), taskToken };
}

/** Leases whose roles exist, whoever made them. */
export const rolesAt = async ({ server }: Pick<PostgresTarget, "server">): Promise<readonly string[]> =>
  (await server.sql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'lease\\_%' ORDER BY 1")).map(({ rolname }) => String(rolname));
