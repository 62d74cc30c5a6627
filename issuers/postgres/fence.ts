import { escapeIdentifier, escapeLiteral, type Client } from "pg";
import { PermanentFailure } from "../../domain/credential.ts";
import type { LeaseId } from "../../domain/ids.ts";
import { sqlStateOf } from "./failures.ts";
import type { PostgresSettings } from "./settings.ts";

/** A lease lives a day at most; an hour more covers every clock. Until then a late issue finds its tombstone. */
const KEPT = "interval '25 hours'";
/** Tombstones that one statement clears away. */
const CLEARED_AT_ONCE = 5_000;

/** `"stint"."fence"`, quoted. */
const tableOf = ({ schema }: PostgresSettings): string => `${escapeIdentifier(schema)}."fence"`;

/** What the broker's role makes for itself when it may, and an administrator otherwise. */
function fenceSql(settings: PostgresSettings): readonly string[] {
  return [
    `CREATE TABLE ${tableOf(settings)} (
  lease text PRIMARY KEY,
  made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  deadline timestamptz,
  ended_at timestamptz,
  keep_until timestamptz NOT NULL,
  CONSTRAINT in_time CHECK (ended_at IS NOT NULL OR made_at <= deadline)
)`,
    `CREATE INDEX ON ${tableOf(settings)} (keep_until)`,
  ];
}

/** The SQL an administrator runs once, in the target's `database`: a broker's role that is no superuser. Its password is set apart. */
export function setupSql(settings: PostgresSettings): string {
  const user = escapeIdentifier(settings.user);
  const heirs = settings.reassign_to === undefined || settings.roles.includes(settings.reassign_to) ? [] : [settings.reassign_to];
  return [
    `CREATE ROLE ${user} LOGIN CREATEROLE NOSUPERUSER NOCREATEDB NOREPLICATION NOBYPASSRLS;`,
    `-- \\password ${settings.user}`,
    `GRANT pg_signal_backend TO ${user};`,
    ...settings.roles.map((role) => `GRANT ${escapeIdentifier(role)} TO ${user} WITH ADMIN OPTION;`),
    ...heirs.map((role) => `GRANT ${escapeIdentifier(role)} TO ${user};`),
    `CREATE SCHEMA ${escapeIdentifier(settings.schema)} AUTHORIZATION ${user};`,
    "",
  ].join("\n");
}

/**
 * Makes sure that the table is there and is ours alone. One row per lease: whoever issues inserts it in the transaction that makes the
 * role, whoever revokes inserts or marks it first, and the primary key lets only one of them through. Somebody else's schema of that
 * name is refused: its triggers would run as us. Throws `PermanentFailure` with the SQL that an administrator must run.
 */
export async function prepareFence(client: Client, settings: PostgresSettings): Promise<void> {
  const found = await look(client, settings);
  if (found.schema === "theirs" || found.table === "theirs")
    throw new PermanentFailure(
      `the schema ${settings.schema} there, or its table fence, belongs to another role than ours; give the target another \`schema\``,
    );
  if (found.table === "ours") return;
  try {
    if (found.schema === "none") await client.query(`CREATE SCHEMA ${escapeIdentifier(settings.schema)}`);
    await client.query(fenceSql(settings).join(";\n"));
  } catch (error) {
    if (sqlStateOf(error) === "42501")
      throw new PermanentFailure(
        `our schema cannot be made: run CREATE SCHEMA ${escapeIdentifier(settings.schema)} AUTHORIZATION ${escapeIdentifier(settings.user)}; in ${settings.database}`,
        { cause: error },
      );
    // another broker was as early as we were
    if (!/^(?:42P06|42P07|42710|23505)$/.test(sqlStateOf(error) ?? "") || (await look(client, settings)).table !== "ours") throw error;
  }
}

type Whose = "none" | "ours" | "theirs";

export async function look(client: Client, { schema }: PostgresSettings): Promise<{ readonly schema: Whose; readonly table: Whose }> {
  const { rows } = await client.query<{ schema: Whose; table: Whose }>(
    `WITH me AS (SELECT oid FROM pg_roles WHERE rolname = current_user)
     SELECT coalesce((SELECT CASE WHEN nspowner = me.oid THEN 'ours' ELSE 'theirs' END FROM pg_namespace, me WHERE nspname = $1), 'none') AS "schema",
            coalesce((SELECT CASE WHEN c.relowner = me.oid AND c.relkind = 'r' THEN 'ours' ELSE 'theirs' END
                      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, me WHERE n.nspname = $1 AND c.relname = 'fence'), 'none') AS "table"`,
    [schema],
  );
  return rows[0] ?? { schema: "none", table: "none" };
}

/** Whether the table went missing behind our back. */
export const isFenceMissing = (error: unknown): boolean => /^(?:42P01|3F000)$/.test(sqlStateOf(error) ?? "");

/** The issuer's side, as the first statement of the transaction that makes the role: fails when the lease has ended, or time is up. */
export const passFence = (settings: PostgresSettings, lease: LeaseId, deadline: number, expiresAt: number): string =>
  `INSERT INTO ${tableOf(settings)} (lease, deadline, keep_until) VALUES (${escapeLiteral(lease)}, ${instant(deadline)}, ${instant(expiresAt)} + ${KEPT})`;

/** The revoker's side: from its commit on no role of these leases can come to be. Waits for whoever is just making one. */
export async function closeFence(client: Client, settings: PostgresSettings, leases: readonly LeaseId[]): Promise<void> {
  await client.query({
    name: "close",
    text: `INSERT INTO ${tableOf(settings)} AS f (lease, ended_at, keep_until)
     SELECT lease, clock_timestamp(), clock_timestamp() + ${KEPT} FROM unnest($1::text[]) WITH ORDINALITY AS asked (lease, n) ORDER BY n
     ON CONFLICT (lease) DO UPDATE SET ended_at = coalesce(f.ended_at, excluded.ended_at), keep_until = excluded.keep_until`,
    // in one order everywhere, so that two brokers never wait for each other
    values: [leases.toSorted()],
  });
}

/** Forgets leases of which nobody can come late any more. */
export async function clearFence(client: Client, settings: PostgresSettings): Promise<void> {
  const table = tableOf(settings);
  await client.query(
    `DELETE FROM ${table} WHERE ctid IN (SELECT ctid FROM ${table} WHERE keep_until < clock_timestamp() LIMIT ${CLEARED_AT_ONCE})`,
  );
}

/** An instant, in milliseconds, as SQL. */
export const instant = (ms: number): string => `'${new Date(ms).toISOString()}'::timestamptz`;
