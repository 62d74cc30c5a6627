import { escapeIdentifier, type Client } from "pg";
import type { LeaseId } from "../../domain/ids.ts";

/** A role of ours as it was found. */
export interface FoundRole {
  readonly lease: LeaseId;
  readonly name: string;
  readonly oid: string;
  /** True while it may still log in. */
  readonly login?: boolean;
}

/**
 * How long to wait for a role's own row. A workload may hold that for ever, with a change of its password that it does not commit; nobody
 * else has a reason to hold it for longer than a moment.
 */
const ROW_MS = 250;

/** Takes the login away from all of these, or, with SQLSTATE 55P03, from none: somebody holds the row of one of them. */
export async function takeLogins(client: Client, roles: readonly Pick<FoundRole, "name">[]): Promise<void> {
  if (roles.length === 0) return;
  const statements = roles.map(({ name }) => `ALTER ROLE ${escapeIdentifier(name)} NOLOGIN`);
  await client.query([`SET LOCAL lock_timeout = ${ROW_MS}`, ...statements].join(";\n"));
}

/** Drops roles that own nothing, and looks again: a session that was just beginning when the login was taken away has nothing left to live for. */
export async function dropRoles(client: Client, roles: readonly FoundRole[]): Promise<void> {
  await client.query(`DROP ROLE IF EXISTS ${roles.map(({ name }) => escapeIdentifier(name)).join(", ")}`);
  const { rowCount } = await client.query({
    name: "linger",
    text: "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = ANY($1::oid[])",
    values: [roles.map(({ oid }) => oid)],
  });
  if (rowCount !== null && rowCount > 0) await client.query("SELECT pg_sleep(0.05)");
}
