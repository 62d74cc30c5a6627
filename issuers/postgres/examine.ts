import { escapeIdentifier, type Client } from "pg";
import type { TargetFacts } from "../../domain/credential.ts";
import { look } from "./fence.ts";
import { isLoopback, placeOf, tlsModeOf, type PostgresSettings } from "./settings.ts";
import type { Site } from "./site.ts";

/** Clocks that differ by more make short credentials shorter, or longer. */
const CLOCK_MS = 2_000;
/** A server walks through all roles that ours is in whenever it makes or drops one: from here on it takes tens of milliseconds. */
const MANY_ROLES = 2_000;
/** Rights that our role has no use for, and what takes them away. */
const EXCESSIVE = {
  super: ["is a superuser: whoever gets its password has the whole server", "NOSUPERUSER"],
  createdb: ["may create databases", "NOCREATEDB"],
  replication: ["may replicate, that is read everything", "NOREPLICATION"],
  bypassrls: ["passes by row-level security", "NOBYPASSRLS"],
} as const;

interface Found extends Readonly<Record<keyof typeof EXCESSIVE, boolean>> {
  readonly version: string;
  readonly now: string;
  readonly createrole: boolean;
  readonly inherit: boolean;
  readonly signal: boolean;
  readonly create: boolean;
  readonly memberships: number;
}

interface FoundGroup {
  readonly name: string;
  readonly known: boolean;
  readonly login: boolean;
  readonly powerful: boolean;
  readonly admin: boolean;
  readonly member: boolean;
  readonly fence: boolean;
}

/** What the server is, and what about our role there a person should mend, each with the SQL that mends it. */
export async function examineSite(site: Site, signal: AbortSignal): Promise<TargetFacts> {
  const { settings, ports } = site;
  return site.look("the server could not be examined", signal, async (client) => {
    const asked = ports.clock();
    const found = await rightsOf(client);
    const offMs = Math.round(Date.parse(found.now) - (asked + ports.clock()) / 2);
    const groups = await groupsOf(client, settings);
    const fence = await look(client, settings);
    const warnings = [
      ...ownRights(settings, found),
      ...groups.flatMap((group) => groupWarnings(settings, group)),
      ...fenceWarnings(settings, fence.schema, found.create),
      ...(Math.abs(offMs) > CLOCK_MS
        ? [`the server's clock is ${Math.abs(offMs)} ms ${offMs > 0 ? "ahead of" : "behind"} ours: credentials end by its clock`]
        : []),
      ...tlsWarnings(settings),
    ];
    return { server: `PostgreSQL ${found.version}`, passwordChangedAt: await site.account.changedAt(), warnings };
  });
}

async function rightsOf(client: Client): Promise<Found> {
  const { rows } = await client.query<Found>(
    `SELECT split_part(current_setting('server_version'), ' ', 1) AS version, to_char(clock_timestamp(), 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS now,
            rolsuper AS super, rolcreatedb AS createdb, rolreplication AS replication, rolbypassrls AS bypassrls,
            rolcreaterole AS createrole, rolinherit AS inherit, pg_has_role('pg_signal_backend', 'USAGE') AS signal,
            has_database_privilege(current_database(), 'CREATE') AS create,
            (SELECT count(*)::int FROM pg_auth_members WHERE member = pg_roles.oid) AS memberships
     FROM pg_roles WHERE rolname = current_user`,
  );
  const [row] = rows;
  if (row === undefined) throw new Error("the server does not know our own role");
  return row;
}

async function groupsOf(client: Client, settings: PostgresSettings): Promise<readonly FoundGroup[]> {
  const heirs = settings.reassign_to === undefined ? [] : [settings.reassign_to];
  const { rows } = await client.query<FoundGroup>(
    `SELECT asked.name, r.oid IS NOT NULL AS known, coalesce(r.rolcanlogin, false) AS login,
            coalesce(r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls, false) AS powerful,
            coalesce(pg_has_role(current_user, r.oid, 'MEMBER WITH ADMIN OPTION'), false) AS admin, coalesce(pg_has_role(current_user, r.oid, 'USAGE'), false) AS member,
            coalesce(has_table_privilege(r.oid, f.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'), false) AS fence
     FROM unnest($1::text[]) WITH ORDINALITY AS asked (name, n) LEFT JOIN pg_roles r ON r.rolname = asked.name
     LEFT JOIN (pg_class f JOIN pg_namespace s ON s.oid = f.relnamespace) ON f.relname = 'fence' AND s.nspname = $2 ORDER BY n`,
    [[...new Set([...settings.roles, ...heirs])], settings.schema],
  );
  return rows;
}

function ownRights(settings: PostgresSettings, found: Found): readonly string[] {
  const user = escapeIdentifier(settings.user);
  const excessive = Object.entries(EXCESSIVE)
    .filter(([right]) => found[right as keyof typeof EXCESSIVE])
    .map(([, [what, cure]]) => `our role ${settings.user} ${what}: ALTER ROLE ${user} ${cure}`);
  if (found.super) return excessive;
  return [
    ...excessive,
    ...(found.createrole ? [] : [`our role ${settings.user} may not create roles: ALTER ROLE ${user} CREATEROLE`]),
    ...(found.inherit ? [] : [`our role ${settings.user} has no use of the roles it is in: ALTER ROLE ${user} INHERIT`]),
    ...(found.memberships > MANY_ROLES
      ? [
          `our role is in ${found.memberships} roles, and making or ending one takes longer the more there are: let several targets, each with a \`user\` of its own, share them`,
        ]
      : []),
    ...(found.signal ? [] : [`our role ${settings.user} may not end every session of a credential: GRANT pg_signal_backend TO ${user}`]),
  ];
}

function groupWarnings(settings: PostgresSettings, group: FoundGroup): readonly string[] {
  const { name } = group;
  const [role, user] = [escapeIdentifier(name), escapeIdentifier(settings.user)];
  if (!group.known) return [`the role ${name} does not exist: CREATE ROLE ${role} NOLOGIN`];
  const granted = settings.roles.includes(name);
  return [
    ...(granted && group.login ? [`the role ${name} may log in itself; a role for workloads should not: ALTER ROLE ${role} NOLOGIN`] : []),
    ...(group.powerful
      ? [`the role ${name} may do more than read and write: what a credential leaves behind, or may become, has those rights`]
      : []),
    ...(group.fence
      ? [`the role ${name} may write to our table ${settings.schema}.fence: whoever has it can lock it, and then nothing is ended there`]
      : []),
    ...(granted && !group.admin
      ? [`our role cannot, from PostgreSQL 16 on, put anybody in ${name}: GRANT ${role} TO ${user} WITH ADMIN OPTION`]
      : []),
    ...(group.member ? [] : [`our role cannot hand on to ${name} what credentials leave behind: GRANT ${role} TO ${user}`]),
  ];
}

function fenceWarnings(settings: PostgresSettings, schema: "none" | "ours" | "theirs", mayCreate: boolean): readonly string[] {
  const name = escapeIdentifier(settings.schema);
  if (schema === "theirs") return [`the schema ${settings.schema} belongs to another role: give the target another \`schema\``];
  if (schema === "ours" || mayCreate) return [];
  return [`our schema is missing: CREATE SCHEMA ${name} AUTHORIZATION ${escapeIdentifier(settings.user)} in ${settings.database}`];
}

function tlsWarnings(settings: PostgresSettings): readonly string[] {
  const { host } = placeOf(settings);
  if (settings.socket !== undefined || isLoopback(host) || tlsModeOf(settings) !== "disable") return [];
  return [`the connection to ${host} is not encrypted: take \`tls: { mode: disable }\` away`];
}
