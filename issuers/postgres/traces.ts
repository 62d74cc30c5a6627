import { setTimeout as pause } from "node:timers/promises";
import { escapeIdentifier, escapeLiteral, type Client } from "pg";
import { PermanentFailure, RetryableFailure } from "../../domain/credential.ts";
import { asFailure, sqlStateOf } from "./failures.ts";
import { markOf } from "./names.ts";
import { dropRoles, takeLogins, type FoundRole } from "./roles.ts";
import type { Site } from "./site.ts";

/** Sessions are asked to end this often, a little later each time, before the call gives up and is made again. */
const TERMINATIONS = 20;
/** What a role owns may grow until its last session is gone; then no more. */
const ROUNDS = 2;

/** A database in which a role has left something. */
interface Trace {
  readonly database: string;
  readonly owns: boolean;
  readonly open: boolean;
}

/**
 * Ends a role with all it left: its login, where it held on to that, its sessions, its prepared transactions, what it owns and was granted in
 * every database, then itself. Each step may be repeated, and whatever a crash interrupts is begun again.
 */
export async function endWithTraces(site: Site, found: FoundRole, signal: AbortSignal): Promise<void> {
  await becomeMember(site, found, signal);
  if (found.login === true) await shutOut(site, found, signal);
  const role = { ...found, login: false };
  await endSessions(site, role, signal);
  for (let round = 1; ; round += 1) {
    await rollBackPrepared(site, role, signal);
    for (const trace of await tracesOf(site, role, signal)) await clear(site, role, trace, signal);
    try {
      await site.use("revoke", site.settings.database, doing(role, "could not be dropped"), signal, (client) => dropRoles(client, [role]));
      return;
    } catch (error) {
      if (!(error instanceof RetryableFailure) || sqlStateOf(error.cause) !== "2BP01") throw error;
      // something was given to it since we looked; or what others gave it directly, only they can take back
      if (round >= ROUNDS) throw stillHas(role, await tracesOf(site, role, signal), error);
    }
  }
}

/**
 * Only a member may end its sessions (or whoever may end everybody's), undo what it prepared, and hand on what it owns; and only a
 * member of another lease's role may take back what that one gave it.
 */
async function becomeMember(site: Site, role: FoundRole, signal: AbortSignal): Promise<void> {
  await site.use("revoke", site.settings.database, doing(role, "we may not act for it"), signal, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      `SELECT DISTINCT g.rolname AS name
       FROM pg_shdepend a
       JOIN pg_shdepend o ON (o.dbid, o.classid, o.objid) = (a.dbid, a.classid, a.objid) AND o.deptype = 'o' AND o.refclassid = 'pg_authid'::regclass
       JOIN pg_roles g ON g.oid = o.refobjid
       WHERE a.refclassid = 'pg_authid'::regclass AND a.refobjid = $1::oid AND a.deptype <> 'o' AND g.oid <> $1::oid
         AND shobj_description(g.oid, 'pg_authid') = $2 || g.rolname`,
      [role.oid, markOf(site.broker)],
    );
    const names = [role.name, ...rows.map(({ name }) => name)].map(escapeIdentifier);
    await client.query(`GRANT ${names.join(", ")} TO CURRENT_USER`);
  });
}

/**
 * Takes the login from a role that holds its own row, by a change of its password that it never commits: whoever holds it is ended, and
 * whoever comes back queues behind us. Another lease that may act for the role can hold the row as well as the role itself.
 */
async function shutOut(site: Site, role: FoundRole, signal: AbortSignal): Promise<void> {
  const what = doing(role, "its row could not be had");
  for (let tries = 1; tries <= TERMINATIONS; tries += 1) {
    await rollBackPrepared(site, role, signal);
    const isOut = await site.use("revoke", site.settings.database, what, signal, async (client) => {
      await client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = $1::oid", [role.oid]);
      if (tries > 1)
        await client.query(
          `SELECT pg_terminate_backend(a.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid JOIN pg_roles r ON r.oid = a.usesysid
           WHERE l.relation = 'pg_authid'::regclass AND shobj_description(r.oid, 'pg_authid') = $1 || r.rolname`,
          [markOf(site.broker)],
        );
      try {
        await takeLogins(client, [role]);
        return true;
      } catch (error) {
        if (sqlStateOf(error) === "55P03") return false;
        throw error;
      }
    });
    if (isOut) return;
  }
  throw new RetryableFailure(`${what}: somebody holds on to it though all its sessions were ended; it is tried again`, { aboutOne: true });
}

function stillHas(role: FoundRole, traces: readonly Trace[], error: RetryableFailure): Error {
  if (traces.length === 0) return error;
  const databases = traces.map(({ database }) => database).join(", ");
  return new PermanentFailure(
    `${doing(role, "was granted things directly")} that only whoever owns them can take back: as a superuser, run DROP OWNED BY ${escapeIdentifier(role.name)} in ${databases}`,
    { cause: error },
  );
}

async function endSessions(site: Site, role: FoundRole, signal: AbortSignal): Promise<void> {
  for (let tries = 1; tries <= TERMINATIONS; tries += 1) {
    const left = await site.use("revoke", site.settings.database, doing(role, "still has sessions"), signal, async (client) => {
      const { rowCount } = await client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = $1::oid", [
        role.oid,
      ]);
      return rowCount ?? 0;
    });
    if (left === 0) return;
    await pause(Math.min(10 * tries, 200), undefined, { signal }).catch(() => undefined);
  }
  throw new RetryableFailure(`${doing(role, "still has sessions")} that do not end, though they were told to; it is tried again`, {
    aboutOne: true,
  });
}

/** Only whoever prepared a transaction, or a superuser, may undo it: we do it as the role, of which we are a member. */
async function rollBackPrepared(site: Site, role: FoundRole, signal: AbortSignal): Promise<void> {
  const what = doing(role, "has prepared transactions that could not be rolled back");
  const found = await site.use("revoke", site.settings.database, what, signal, async (client) => {
    const { rows } = await client.query<{ gid: string; database: string }>("SELECT gid, database FROM pg_prepared_xacts WHERE owner = $1", [
      role.name,
    ]);
    return rows;
  });
  for (const { gid, database } of found) {
    await site.use("revoke", database, what, signal, async (client) => {
      await client.query(`SET ROLE ${escapeIdentifier(role.name)}`);
      try {
        await client.query(`ROLLBACK PREPARED ${escapeLiteral(gid)}`);
      } finally {
        await client.query("RESET ROLE");
      }
    });
  }
}

function tracesOf(site: Site, role: FoundRole, signal: AbortSignal): Promise<readonly Trace[]> {
  return site.use("revoke", site.settings.database, doing(role, "could not be looked at"), signal, async (client) => {
    // What has no database of its own (a database's or a tablespace's rights) can be cleared from any: from ours.
    const { rows } = await client.query<Trace>(
      `SELECT coalesce(d.datname, current_database()) AS database, coalesce(bool_or(s.deptype = 'o'), false) AS owns,
              bool_and(coalesce(d.datallowconn, true)) AS open
       FROM pg_shdepend s LEFT JOIN pg_database d ON d.oid = s.dbid
       WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = $1::oid AND s.classid NOT IN ('pg_authid'::regclass, 'pg_auth_members'::regclass)
       GROUP BY 1 ORDER BY 1`,
      [role.oid],
    );
    return rows;
  });
}

async function clear(site: Site, role: FoundRole, { database, owns, open }: Trace, signal: AbortSignal): Promise<void> {
  const what = doing(role, `left things in the database ${database} that could not be cleared`);
  if (!open) throw new PermanentFailure(`${what}: the database allows no connections; let us in there, or drop what the role owns`);
  const name = escapeIdentifier(role.name);
  await site.use("revoke", database, what, signal, async (client) => {
    if (owns && (site.settings.owned === "reassign" || !(await dropped(client, name)))) await handOn(client, site, role, what);
    await client.query(`DROP OWNED BY ${name}`);
  });
}

/** False when things of others hang on what it owns: those are nobody's to drop, so it is handed on instead. */
async function dropped(client: Client, name: string): Promise<boolean> {
  try {
    await client.query(`DROP OWNED BY ${name}`);
    return true;
  } catch (error) {
    if (sqlStateOf(error) === "2BP01") return false;
    throw error;
  }
}

/**
 * Whose its things become: never ours. A function of theirs may run with its owner's rights, so the owner must be nobody who may do
 * more than the lease might: the first of its own roles that may have them, unless the target names another.
 */
async function handOn(client: Client, site: Site, role: FoundRole, what: string): Promise<void> {
  let refused: unknown;
  for (const heir of await heirsOf(client, site, role)) {
    try {
      await client.query(`REASSIGN OWNED BY ${escapeIdentifier(role.name)} TO ${escapeIdentifier(heir)}`);
      return;
    } catch (error) {
      if (sqlStateOf(error) !== "42501") throw error;
      refused = error;
    }
  }
  if (refused === undefined) throw new PermanentFailure(`${what}: it is in none of the target's roles; set the target's \`reassign_to\``);
  const { message } = asFailure(refused, what);
  throw new PermanentFailure(
    `${message}; whoever inherits must have CREATE where the things are, and our role must be in it (GRANT ... TO ${escapeIdentifier(site.settings.user)})`,
    { cause: refused },
  );
}

async function heirsOf(client: Client, { settings }: Site, role: FoundRole): Promise<readonly string[]> {
  if (settings.reassign_to !== undefined) return [settings.reassign_to];
  const { rows } = await client.query<{ name: string }>(
    "SELECT g.rolname AS name FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = $1::oid",
    [role.oid],
  );
  const held = new Set(rows.map(({ name }) => name));
  return settings.roles.filter((name) => held.has(name));
}

const doing = ({ name, login }: FoundRole, what: string): string =>
  `the role ${name} can ${login === true ? "still log in, and" : "log in no more, but"} ${what}`;
