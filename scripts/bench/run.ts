import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { openBrokerStore } from "./broker-store.ts";
import { measureCertificates } from "./certificates.ts";
import { checkAnswers } from "./checks.ts";
import { canPin } from "./children.ts";
import { NOISY } from "./figures.ts";
import { measureLayouts, type LayoutRow } from "./layouts.ts";
import { startLoader } from "./loader.ts";
import { measureFeed, type DeliveryFigures } from "./feed.ts";
import { HTTP_PATHS, type BenchOptions } from "./options.ts";
import { measurePostgres, type PostgresReport } from "./postgres.ts";
import { readProfiles, type ProfileReport } from "./profile.ts";
import { measurePressure, type PressureReport } from "./pressure.ts";
import { comparable, startPeer } from "./peer.ts";
import { startBroker, startFloor } from "./programs.ts";
import { openRedis } from "./redis.ts";
import type { PathReport } from "./path-reports.ts";
import { Rounds } from "./rounds.ts";
import { createScenario } from "./scenario.ts";
import { measureStarts, type StartReport } from "./starts.ts";
import { measureStore, type StoreReport } from "./store-figures.ts";
import { measureVerify, type VerifyRow } from "./verify.ts";

/** Everything that was measured, and on what. */
export interface BenchReport {
  readonly machine: {
    readonly cores: number;
    readonly cpu: string;
    readonly system: string;
    /** Servers had one core and load and Redis another; otherwise they shared what there was. */
    readonly pinned: boolean;
  };
  readonly versions: Readonly<Record<string, string>>;
  readonly settings: {
    readonly rounds: number;
    readonly seconds: number;
    readonly connections: number;
    readonly fsync: string;
    readonly store: string;
  };
  readonly paths: readonly PathReport[];
  readonly store: StoreReport | undefined;
  readonly verify: readonly VerifyRow[];
  readonly feed: readonly DeliveryFigures[];
  /** With `--profile`: what each part of the work cost. */
  readonly profiles: readonly ProfileReport[];
  readonly x509: readonly VerifyRow[];
  readonly postgres: PostgresReport | undefined;
  readonly pressure: PressureReport | undefined;
  readonly layouts: readonly LayoutRow[];
  readonly starts: StartReport | undefined;
  /** Paths of which a program's throughput differed between rounds by more than 30 % of its median. */
  readonly noisy: readonly string[];
}

/** Revocations that each number of verifiers is told of. */
const FEED_ROUNDS = 40;
/** Leases opened and ended in each round on each layout. */
const LAYOUT_LEASES = 10_000;
/** Postgres roles due at once. */
const ROLES_DUE = 10_000;

/** Runs what was asked for on servers of its own, and stops them whatever happens. Throws when an answer is wrong. */
export async function benchmark(options: BenchOptions): Promise<BenchReport> {
  const wanted = HTTP_PATHS.filter((path) => options.paths.has(path));
  let redisVersion = "";
  const paths: PathReport[] = [];
  let served: ReadonlyMap<string, number> = new Map();
  if (wanted.length > 0) {
    const folder = await mkdtemp(join(tmpdir(), "stint-bench-"));
    try {
      await using redis = await openRedis(options.fsync);
      redisVersion = redis.version;
      const scenario = await createScenario();
      await using loader = await startLoader();
      await using floor = await startFloor(scenario, redis.url, options.profile);
      await using store = await openBrokerStore(options, redis);
      await using broker = await startBroker(scenario, store.url, folder, options.profile);
      await using peer = options.peers && comparable(wanted) ? await startPeer(redis.url) : undefined;
      for (const program of [floor, broker]) await checkAnswers(program, scenario);
      options.say(`${peer === undefined ? "both" : "all three"} programs answer correctly`);
      const rounds = new Rounds({ options, scenario, redis, store, loader, floor, broker, peer });
      paths.push(...(await rounds.measure(wanted)));
      served = rounds.served;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  const store = await measureStore(options);
  const verify = options.paths.has("verify")
    ? await measureVerify({ rounds: options.rounds, tokens: 2000, revoked: 1_000_000, say: options.say })
    : [];
  const feed = options.paths.has("feed") ? await measureFeed({ ...options, verifiers: [1, 100, 1000], rounds: FEED_ROUNDS }) : [];
  const x509 = options.paths.has("x509") ? await measureCertificates({ rounds: options.rounds, count: 500, say: options.say }) : [];
  const postgres = options.paths.has("postgres") ? await measurePostgres({ ...options, roles: ROLES_DUE }) : undefined;
  const pressure = options.paths.has("load") ? await measurePressure(options) : undefined;
  const layouts = options.paths.has("layouts") ? await measureLayouts({ ...options, leases: LAYOUT_LEASES }) : [];
  const starts = options.paths.has("starts") ? await measureStarts(options) : undefined;
  return {
    machine: {
      cores: availableParallelism(),
      cpu: cpus()[0]?.model.trim() ?? "",
      system: `${process.platform} ${release()}`,
      pinned: canPin,
    },
    versions: versions(redisVersion === "" ? (store?.redis ?? pressure?.redis ?? "") : redisVersion),
    settings: {
      rounds: options.rounds,
      seconds: options.seconds,
      connections: options.connections,
      fsync: options.fsync,
      store: options.store,
    },
    paths,
    store,
    verify,
    feed,
    profiles: options.profile === undefined ? [] : readProfiles(options.profile, served),
    x509,
    postgres,
    pressure,
    layouts,
    starts,
    noisy: paths.flatMap(({ path, floor, broker }) =>
      [floor, broker].filter(({ perSecond }) => perSecond.spread > NOISY).map(({ lane }) => `${path} (${lane})`),
    ),
  };
}

function versions(redis: string): Readonly<Record<string, string>> {
  const manifest = (path: string): { readonly version: string } =>
    JSON.parse(readFileSync(join(import.meta.dirname, "../../..", path), "utf8")) as { version: string };
  const own = Object.fromEntries(
    ["express", "ioredis", "jose", "zod", "pino", "pg", "oidc-provider"].map((name) => [
      name,
      manifest(`node_modules/${name}/package.json`).version,
    ]),
  );
  return { stint: manifest("package.json").version, node: process.versions.node, openssl: process.versions.openssl, redis, ...own };
}
