import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Issuer } from "../../domain/credential.ts";
import type { LeaseId } from "../../domain/ids.ts";
import type { PostgresParams } from "../../issuers/postgres/settings.ts";
import { BROKER, BROKER_PASSWORD, startPostgresTarget, type PostgresTarget } from "../../test/support/postgres-target.ts";
import { figureOf, type Figure } from "./figures.ts";
import { leaseStatements } from "./postgres-statements.ts";

/** Roles at one Postgres: what a lease costs beside its bare statements, and how fast many are cleared away. */
export interface PostgresReport {
  readonly server: string;
  readonly leases: {
    /** Leases made and ended in a second by our issuer, */
    readonly ours: Figure;
    /** and the same statements, one lease at a time on each connection, by pgbench in the same rounds. */
    readonly pgbench: Figure;
    readonly ratio: Figure;
    /** CPU of our process for one lease: most of it is the password's SCRAM verifier. */
    readonly cpuUs: number;
  };
  readonly due: DueFigures;
}

/** Many roles due at once while others are made. */
export interface DueFigures {
  readonly roles: number;
  readonly seconds: number;
  readonly goalSeconds: number;
  readonly mostConnections: number;
  /** Milliseconds to make a credential, with nothing else going on and meanwhile. */
  readonly base: Latency;
  readonly meanwhile: Latency;
  readonly made: number;
}

export interface Latency {
  readonly p50: number;
  readonly p99: number;
}

export interface PostgresBenchOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly roles: number;
  readonly say: (text: string) => void;
}

const CONNECTIONS = 8;
/** As many calls at one target as the broker's sweeper has in flight. */
const IN_FLIGHT = 16;
/** 10,000 in 30 s, and in proportion. */
const GOAL_PER_SECOND = 10_000 / 30;

/** Starts a Postgres of its own with its usual durability. */
export async function measurePostgres(options: PostgresBenchOptions): Promise<PostgresReport> {
  await using target = await startPostgresTarget(
    { roles: ["app_read"], connections: CONNECTIONS },
    { settings: { fsync: "on", log_statement: "none", shared_buffers: "128MB" } },
  );
  const facts = await target.issuer.examine?.(AbortSignal.timeout(10_000));
  const script = join(target.server.folder, "lease.sql");
  await writeFile(script, await leaseStatements(target));
  await writeFile(join(target.server.folder, "pgpass"), `*:*:*:stint:${BROKER_PASSWORD}\n`, { mode: 0o600 });
  const [ours, bare]: [number[], number[]] = [[], []];
  let [cpuUs, leases] = [0, 0];
  for (let round = 1; round <= options.rounds; round += 1) {
    options.say(`postgres: round ${round} of ${options.rounds}`);
    const before = process.cpuUsage();
    const done = await makeAndEnd(target, options.seconds);
    const { user, system } = process.cpuUsage(before);
    ours.push(done / options.seconds);
    cpuUs += user + system;
    leases += done;
    bare.push(await pgbench(target, script, options.seconds));
  }
  const due = await measureDue(target, options);
  return {
    server: facts?.server ?? "",
    leases: {
      ours: figureOf(ours),
      pgbench: figureOf(bare),
      ratio: figureOf(ours.map((perSecond, round) => perSecond / (bare[round] ?? Number.NaN))),
      cpuUs: cpuUs / leases,
    },
    due,
  };
}

const make = (target: PostgresTarget, issuer: Issuer<PostgresParams>, order = target.order({}, {})): Promise<LeaseId> =>
  issuer.issue(order, AbortSignal.timeout(25_000)).then(() => order.leaseId);
const end = (issuer: Issuer<PostgresParams>, leaseId: LeaseId): Promise<unknown> =>
  issuer.revoke({ leaseId, handle: undefined, expiresAt: 0 }, AbortSignal.timeout(60_000));

async function makeAndEnd(target: PostgresTarget, seconds: number): Promise<number> {
  const until = performance.now() + seconds * 1_000;
  let done = 0;
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      while (performance.now() < until) {
        await end(target.issuer, await make(target, target.issuer));
        done += 1;
      }
    }),
  );
  return done;
}

async function pgbench({ server }: PostgresTarget, script: string, seconds: number): Promise<number> {
  const args = [
    "-n",
    "-h",
    "127.0.0.1",
    "-p",
    String(server.port),
    "-U",
    "stint",
    "-c",
    String(CONNECTIONS),
    "-j",
    "1",
    "-T",
    String(seconds),
    "-f",
    script,
  ];
  const child = spawn(server.programs.pgbench, [...args, "app"], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], PGPASSFILE: join(server.folder, "pgpass") },
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  const perSecond = Number(/tps = ([\d.]+) \(without/.exec(said)?.[1]);
  if (code !== 0 || !Number.isFinite(perSecond) || /ERROR|aborted/.test(said)) throw new Error(`pgbench: ${said}`);
  return perSecond;
}

async function measureDue(target: PostgresTarget, { roles, say }: PostgresBenchOptions): Promise<DueFigures> {
  const base: number[] = [];
  for (let count = 0; count < 200; count += 1) await end(target.issuer, await timed(target, base));
  say(`postgres: ${roles} roles due at once`);
  const due = Array.from({ length: roles }, () => target.order({}, {}).leaseId);
  await createRoles(target, due);
  const watcher = await target.server.client({ username: "stint", password: BROKER_PASSWORD });
  const state = { over: false, most: 0 };
  const watched = (async () => {
    while (!state.over) {
      const { rows } = await watcher.query<{ n: number }>(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'stint'",
      );
      state.most = Math.max(state.most, rows[0]?.n ?? 0);
      await pause(20);
    }
  })();
  const meanwhile: number[] = [];
  const issuing = (async () => {
    while (!state.over) {
      await timed(target, meanwhile);
      await pause(20);
    }
  })();
  const began = performance.now();
  const queue = due[Symbol.iterator]();
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      for (const leaseId of queue) await end(target.issuer, leaseId);
    }),
  );
  const seconds = (performance.now() - began) / 1_000;
  state.over = true;
  await Promise.all([watched, issuing]);
  const [left] = await target.server.sql(`SELECT count(*)::int AS n FROM pg_roles WHERE rolname = ANY('{${due.join(",")}}'::name[])`);
  if (left?.["n"] !== 0) throw new Error(`${String(left?.["n"])} roles are left`);
  return {
    roles,
    seconds,
    goalSeconds: roles / GOAL_PER_SECOND,
    mostConnections: state.most,
    base: latencyOf(base),
    meanwhile: latencyOf(meanwhile),
    made: meanwhile.length,
  };
}

/** Roles as the issuer makes them, by the server alone: making ten thousand is not what is measured. A transaction has locks for some hundreds. */
async function createRoles({ server }: PostgresTarget, leases: readonly LeaseId[]): Promise<void> {
  const until = new Date(Date.now() + 3_600_000).toISOString();
  for (let from = 0; from < leases.length; from += 500) {
    await server.sql(`SET ROLE stint; DO $$ DECLARE r text; BEGIN FOREACH r IN ARRAY '{${leases.slice(from, from + 500).join(",")}}'::text[] LOOP
      EXECUTE format('CREATE ROLE %I LOGIN VALID UNTIL %L IN ROLE app_read', r, '${until}');
      EXECUTE format('COMMENT ON ROLE %I IS %L', r, 'Made by Stint at ${BROKER} for ' || r); END LOOP; END $$`);
  }
}

async function timed(target: PostgresTarget, into: number[]): Promise<LeaseId> {
  const order = target.order({}, {});
  const began = performance.now();
  await make(target, target.issuer, order);
  into.push(performance.now() - began);
  return order.leaseId;
}

function latencyOf(values: readonly number[]): Latency {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99) };
}
