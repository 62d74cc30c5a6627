import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cpuMsOf } from "./children.ts";
import { figureOf, type Figure } from "./figures.ts";
import type { JobResult } from "./keep-alive.ts";
import { startLoader, type Loader } from "./loader.ts";
import type { BenchOptions } from "./options.ts";
import { startBroker, type Program } from "./programs.ts";
import { openRedis } from "./redis.ts";
import { createScenario, type Scenario } from "./scenario.ts";

/** What the broker does when so much is asked of it; `share` is of what it can do. */
export interface PressureRow {
  readonly share: number;
  readonly offered: number;
  readonly served: Figure;
  readonly shed: Figure;
  readonly p50Ms: Figure;
  readonly p99Ms: Figure;
  /** The server's CPU for each request served, refusals included, in microseconds; undefined where the system does not tell. */
  readonly cpuUs: Figure | undefined;
}

export interface PressureReport {
  /** Its version. */
  readonly redis: string;
  /** Requests a second with every connection always busy. */
  readonly saturation: Figure;
  readonly saturationCpuUs: Figure | undefined;
  /** At a tenth of that: as good as alone. */
  readonly unloaded: PressureRow;
  readonly rows: readonly PressureRow[];
}

const SHARES = [0.5, 0.8, 1.2, 2] as const;
const UNLOADED = 0.1;
/** Enough that what is asked past saturation really arrives. */
const CONNECTIONS = 512;
const WARM_MS = 5_000;
/** Evidence for so many a second is made at least: a run must not end because it is used up. */
const AT_LEAST = 4_000;

/** Issue requests at a steady pace below and above what one broker process can do, from as many connections as it takes. */
export async function measurePressure(options: BenchOptions): Promise<PressureReport> {
  const folder = await mkdtemp(join(tmpdir(), "stint-bench-"));
  try {
    await using redis = await openRedis(options.fsync);
    const scenario = await createScenario();
    await using loader = await startLoader();
    await using broker = await startBroker(scenario, redis.url, folder, options.profile);
    const under = new Pressure(scenario, loader, broker, options.seconds * 1_000);
    await under.busy(WARM_MS);
    const busy: Ran[] = [];
    for (let round = 0; round < options.rounds; round += 1) busy.push(await under.busy(options.seconds * 1_000));
    const { served: saturation, cpuUs: saturationCpuUs } = rowOf(1, 0, busy);
    options.say(`one process serves ${Math.round(saturation.median)}/s`);
    const rows: PressureRow[] = [];
    for (const share of [UNLOADED, ...SHARES]) {
      const rounds: Ran[] = [];
      for (let round = 0; round < options.rounds; round += 1) rounds.push(await under.paced(share * saturation.median));
      rows.push(rowOf(share, share * saturation.median, rounds));
      const { served, p99Ms } = rows.at(-1) ?? rowOf(share, 0, []);
      options.say(`asked for ${Math.round(share * 100)} %: ${Math.round(served.median)}/s served, p99 ${p99Ms.median.toFixed(1)} ms`);
    }
    const [unloaded = rowOf(UNLOADED, 0, []), ...others] = rows;
    return { redis: redis.version, saturation, saturationCpuUs, unloaded, rows: others };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Ran extends JobResult {
  readonly cpuMs: number;
}

class Pressure {
  readonly #scenario: Scenario;
  readonly #loader: Loader;
  readonly #broker: Program;
  readonly #ms: number;
  #rate = 3_000;

  constructor(scenario: Scenario, loader: Loader, broker: Program, ms: number) {
    this.#scenario = scenario;
    this.#loader = loader;
    this.#broker = broker;
    this.#ms = ms;
  }

  /** Requests a second when each of a few connections asks again at once. */
  async busy(ms: number): Promise<Ran> {
    const result = await this.#run({
      connections: 32,
      ms,
      pace: undefined,
      count: Math.ceil((Math.max(AT_LEAST, this.#rate * 1.5) * ms) / 1_000),
    });
    this.#rate = result.perSecond;
    return result;
  }

  paced(pace: number): Promise<Ran> {
    return this.#run({ connections: CONNECTIONS, ms: this.#ms, pace, count: Math.ceil((pace * this.#ms * 1.05) / 1_000) });
  }

  async #run({ connections, ms, pace, count }: { connections: number; ms: number; pace: number | undefined; count: number }): Promise<Ran> {
    const bodies = await this.#scenario.mint(count, "ES256", this.#broker.url);
    const before = cpuMsOf(this.#broker.pid);
    const result = await this.#loader.run({
      port: this.#broker.port,
      path: "/oauth2/token",
      headers: [],
      bodies,
      cycle: false,
      connections,
      ms,
      expect: { status: 200, text: '"access_token":"' },
      collect: undefined,
      pace,
      overload: true,
    });
    if (result.failed > 0) throw new Error(`load: ${result.failed} of ${result.done} answers were wrong: ${result.firstFailure}`);
    return { ...result, cpuMs: (cpuMsOf(this.#broker.pid) ?? Number.NaN) - (before ?? Number.NaN) };
  }
}

function rowOf(share: number, offered: number, rounds: readonly Ran[]): PressureRow {
  const of = (pick: (round: Ran) => number): Figure => figureOf(rounds.map(pick));
  const cpuUs = of(({ cpuMs, done }) => (cpuMs * 1_000) / done);
  return {
    share,
    offered,
    served: of(({ perSecond }) => perSecond),
    shed: of(({ shed, ms }) => (shed * 1_000) / ms),
    p50Ms: of(({ p50Ms }) => p50Ms),
    p99Ms: of(({ p99Ms }) => p99Ms),
    cpuUs: Number.isFinite(cpuUs.median) ? cpuUs : undefined,
  };
}
