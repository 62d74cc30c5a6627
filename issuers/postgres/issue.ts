import { randomInt } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { escapeIdentifier, escapeLiteral, type Client } from "pg";
import { PermanentFailure, RetryableFailure, type Credential, type IssueOrder, type Issued } from "../../domain/credential.ts";
import { Secret } from "../../domain/secret.ts";
import { SKEW_MS } from "../../domain/time.ts";
import { asFailure, sqlStateOf, wasInterleaved } from "./failures.ts";
import { passFence } from "./fence.ts";
import { markOf, roleOf } from "./names.ts";
import { newPassword, scramVerifier } from "./scram.ts";
import { clientPlaceOf, isLoopback, rolesOf, tlsModeOf, type PostgresParams, type PostgresSettings } from "./settings.ts";
import type { Site } from "./site.ts";

/** The store gives a pending lease 30 s; what reaches the server later, by a clock that may be off by this much more, makes nothing. */
const PENDING_MS = 30_000;
/** How often a statement is repeated that others' got in the way of, within one call. */
const TRIES = 5;

/** Makes the role in one round trip and one transaction: pass the fence, create it, mark it as ours. */
export async function issueRole(site: Site, order: IssueOrder<PostgresParams>, signal: AbortSignal): Promise<Issued> {
  const password = newPassword();
  const statements = statementsFor(site, order, await scramVerifier(password));
  const doing = "the role could not be made";
  await site.use("issue", site.settings.database, doing, signal, async (client) => {
    try {
      await repeated(client, statements);
    } catch (error) {
      throw explained(error, doing);
    }
  });
  return { credential: credentialFor(site.settings, order, password) };
}

/** Lengthens a role. One that was dropped meanwhile does not come back, and one that is being ended stays without a login. */
export async function renewRole(site: Site, order: IssueOrder<PostgresParams>, signal: AbortSignal): Promise<undefined> {
  const role = escapeIdentifier(roleOf(order.leaseId));
  await site.use("issue", site.settings.database, "the role could not be lengthened", signal, async (client) => {
    await repeated(client, `ALTER ROLE ${role} VALID UNTIL ${escapeLiteral(new Date(order.expiresAt).toISOString())}`).catch(
      (error: unknown) => {
        if (sqlStateOf(error) === "42704") throw new PermanentFailure("the role is gone: the lease has ended", { cause: error });
        throw error;
      },
    );
  });
  return undefined;
}

function statementsFor({ settings, broker }: Site, order: IssueOrder<PostgresParams>, verifier: string): string {
  const role = escapeIdentifier(roleOf(order.leaseId));
  const { connection_limit: limit } = order.params;
  const groups = rolesOf(order.params).map(escapeIdentifier).join(", ");
  return [
    passFence(settings, order.leaseId, order.issuedAt + PENDING_MS + SKEW_MS, order.expiresAt),
    `CREATE ROLE ${role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT` +
      `${limit === undefined ? "" : ` CONNECTION LIMIT ${limit}`} PASSWORD ${escapeLiteral(verifier)}` +
      ` VALID UNTIL ${escapeLiteral(new Date(order.expiresAt).toISOString())} IN ROLE ${groups}`,
    // We become no member of it: a server goes through all of a role's memberships, one by one against each other, whenever rights of
    // ours are looked at, and ten thousand make every statement slow. Whoever must hand on what it owned becomes one then.
    `COMMENT ON ROLE ${role} IS ${escapeLiteral(markOf(broker) + roleOf(order.leaseId))}`,
  ].join(";\n");
}

/** Several statements in one message are one transaction: after an error nothing of them is left. */
async function repeated(client: Client, statements: string): Promise<void> {
  for (let left = TRIES; ; left -= 1) {
    try {
      await client.query(statements);
      return;
    } catch (error) {
      if (!wasInterleaved(error) || left <= 1) throw error;
      await pause(randomInt(1, 20));
    }
  }
}

/** Why the fence did not let us pass, in the words of whoever reads the log. */
function explained(error: unknown, doing: string): unknown {
  const state = sqlStateOf(error);
  if (state === "23505") return new PermanentFailure(`${doing}: this lease has ended, or has its role already`, { cause: error });
  if (state === "23514")
    return new RetryableFailure(`${doing}: the order came too late, or the server's clock is ahead of ours by more than half a minute`, {
      cause: error,
    });
  if (state === "42710") return new PermanentFailure(`${doing}: a role of that name is there, and not of our making`, { cause: error });
  return state === undefined || /^(?:42P01|3F000)$/.test(state) ? error : asFailure(error, doing);
}

function credentialFor(settings: PostgresSettings, order: IssueOrder<PostgresParams>, password: string): Credential {
  const { host, port } = clientPlaceOf(settings);
  const facts = { host, port, database: order.params.database, username: roleOf(order.leaseId), sslmode: sslModeFor(settings) };
  return { type: "postgres", token: new Secret(password), member: "password", facts };
}

/** What a workload should insist on, in libpq's words. */
function sslModeFor(settings: PostgresSettings): string {
  const mode = tlsModeOf(settings);
  if (mode !== "disable") return mode;
  const { host } = clientPlaceOf(settings);
  return settings.tls.mode === "disable" || host.startsWith("/") || isLoopback(host) ? "disable" : "prefer";
}
