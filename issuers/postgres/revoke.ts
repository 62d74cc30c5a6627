import type { Client } from "pg";
import { PermanentFailure, RetryableFailure } from "../../domain/credential.ts";
import type { LeaseId } from "../../domain/ids.ts";
import { Batches, type Settled } from "./batch.ts";
import { sqlStateOf } from "./failures.ts";
import { clearFence, closeFence } from "./fence.ts";
import { markOf, roleOf } from "./names.ts";
import { dropRoles, takeLogins, type FoundRole } from "./roles.ts";
import type { Site } from "./site.ts";
import { endWithTraces } from "./traces.ts";

export type Ended = "revoked" | "already_gone";

/** A batch has no caller's patience to go by: many share it. */
const BATCH_MS = 18_000;
const CLEAR_EVERY_MS = 60_000;

/**
 * Ends roles, many at a time: close the fence, take away the login, and drop those that nobody is using and that own nothing, all of
 * them in one statement. Whoever has sessions or left things behind is seen to alone, so that nobody else waits for it.
 */
export class Revoker {
  readonly #site: Site;
  readonly #batches: Batches<LeaseId, Ended | FoundRole>;
  #clearedAt = 0;

  constructor(site: Site) {
    this.#site = site;
    this.#batches = new Batches((leases) => this.#batch(leases));
  }

  async revoke(lease: LeaseId, signal: AbortSignal): Promise<Ended> {
    roleOf(lease); // what is no lease's id must not come to the server in a batch of others
    const found = await unlessAborted(this.#batches.ask(lease), signal);
    if (typeof found === "string") return found;
    await endWithTraces(this.#site, found, signal);
    return "revoked";
  }

  /** Alone, one after the other, when something is wrong with one of them: the others must not suffer for it. */
  async #batch(leases: readonly LeaseId[]): Promise<ReadonlyMap<LeaseId, Settled<Ended | FoundRole>>> {
    try {
      return await this.#together(leases);
    } catch (error) {
      if (leases.length === 1 || !isAboutOne(error)) return new Map(leases.map((lease) => [lease, { error }]));
    }
    const began = performance.now();
    const settled = new Map<LeaseId, Settled<Ended | FoundRole>>();
    for (const lease of leases) {
      // with each of them something is wrong: then it is the server after all
      const late = performance.now() - began > BATCH_MS;
      const answer = late ? undefined : await this.#together([lease]).catch((error: unknown) => new Map([[lease, { error }]]));
      settled.set(lease, answer?.get(lease) ?? { error: new RetryableFailure("the role's turn did not come in time; it is tried again") });
    }
    return settled;
  }

  #together(leases: readonly LeaseId[]): Promise<ReadonlyMap<LeaseId, Settled<Ended | FoundRole>>> {
    const { settings, broker } = this.#site;
    const signal = AbortSignal.timeout(BATCH_MS);
    return this.#site.use("revoke", settings.database, "the role could not be ended", signal, async (client) => {
      await closeFence(client, settings, leases);
      const found = await find(client, broker, leases);
      const ours = found.filter(({ ours }) => ours);
      const clings = await holdsItsRow(client, ours);
      const busy = new Set(clings ? ours.map(({ oid }) => oid) : await busyOf(client, ours));
      const idle = ours.filter(({ oid }) => !busy.has(oid));
      if (idle.length > 0) await dropRoles(client, idle);
      await this.#clear(client);
      const settled = new Map<LeaseId, Settled<Ended | FoundRole>>(leases.map((lease) => [lease, { value: "already_gone" }]));
      for (const role of found)
        settled.set(role.lease, role.ours ? { value: busy.has(role.oid) ? leftOf(role, clings) : "revoked" } : { error: notOurs(role) });
      return settled;
    });
  }

  /** Old tombstones go now and then, in passing. */
  async #clear(client: Client): Promise<void> {
    const now = this.#site.ports.clock();
    if (now - this.#clearedAt < CLEAR_EVERY_MS) return;
    this.#clearedAt = now;
    await clearFence(client, this.#site.settings);
  }
}

async function find(
  client: Client,
  broker: string,
  leases: readonly LeaseId[],
): Promise<readonly (FoundRole & { readonly ours: boolean; readonly login: boolean })[]> {
  const byRole = new Map(leases.map((lease) => [roleOf(lease), lease]));
  const { rows } = await client.query<{ name: string; oid: string; ours: boolean; login: boolean }>({
    name: "find",
    text: `SELECT rolname AS name, oid::text AS oid, rolcanlogin AS login,
             coalesce(shobj_description(oid, 'pg_authid') = $2 || rolname, false) AS ours
           FROM pg_roles WHERE rolname = ANY($1::name[])`,
    values: [[...byRole.keys()], markOf(broker)],
  });
  return rows.flatMap((row) => {
    const lease = byRole.get(row.name);
    return lease === undefined ? [] : [{ ...row, lease }];
  });
}

/** Which of these have sessions, own anything anywhere, were granted anything directly, or left a prepared transaction. */
async function busyOf(client: Client, roles: readonly FoundRole[]): Promise<readonly string[]> {
  if (roles.length === 0) return [];
  const { rows } = await client.query<{ oid: string }>({
    name: "busy",
    text: `SELECT usesysid::text AS oid FROM pg_stat_activity WHERE usesysid = ANY($1::oid[])
     UNION SELECT refobjid::text FROM pg_shdepend
           WHERE refclassid = 'pg_authid'::regclass AND refobjid = ANY($1::oid[]) AND classid NOT IN ('pg_authid'::regclass, 'pg_auth_members'::regclass)
     UNION SELECT r.oid::text FROM pg_prepared_xacts p JOIN pg_roles r ON r.rolname = p.owner WHERE r.oid = ANY($1::oid[])`,
    values: [roles.map(({ oid }) => oid)],
  });
  return rows.map(({ oid }) => oid);
}

/** Takes the logins away. True when that is not possible for the one role there is, because its row is held: it is seen to alone. */
async function holdsItsRow(client: Client, roles: readonly (FoundRole & { readonly login: boolean })[]): Promise<boolean> {
  try {
    await takeLogins(
      client,
      roles.filter(({ login }) => login),
    );
    return false;
  } catch (error) {
    if (roles.length === 1 && sqlStateOf(error) === "55P03") return true;
    throw error;
  }
}

const leftOf = ({ lease, name, oid }: FoundRole, login: boolean): FoundRole => ({ lease, name, oid, login });

/** Locks, dependencies, rows that others changed: errors that one role of a batch may have brought upon all. */
const isAboutOne = (error: unknown): boolean =>
  error instanceof Error && /^(?:2BP01|55P03|55006|XX000|40001|40P01|57014|42\w{3})$/.test(sqlStateOf(error.cause) ?? "");

function notOurs({ name }: FoundRole): PermanentFailure {
  return new PermanentFailure(
    `the role ${name} does not carry our mark (its comment): it was left alone; if STINT_URL was changed, drop the role there and force the lease closed`,
  );
}

/** Many share a batch: whoever gives up leaves it to the others. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new RetryableFailure("the role could not be ended in time; it is tried again"));
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
