import { escapeIdentifier, type Client } from "pg";
import type { LeaseId } from "../../domain/ids.ts";

/** A role of ours as it was found. */
export interface FoundRole {
  readonly lease: LeaseId;
  readonly name: string;
  readonly oid: string;
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
