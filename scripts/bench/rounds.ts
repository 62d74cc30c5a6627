import { setTimeout as pause } from "node:timers/promises";
import { cpuMsOf } from "./children.ts";
import { figureOf, type Figure } from "./figures.ts";
import type { JobResult } from "./keep-alive.ts";
import type { Loader } from "./loader.ts";
import type { BenchOptions, HttpPath } from "./options.ts";
import type { Peer, PeerLane } from "./peer.ts";
import type { Program } from "./programs.ts";
import type { BenchRedis } from "./redis.ts";
import { BASIC, type EvidenceAlg, type Scenario } from "./scenario.ts";

/** What one program did on one path, over all rounds. Times in milliseconds, CPU in microseconds a request. */
export interface LaneReport {
  readonly lane: string;
  readonly perSecond: Figure;
  readonly p50Ms: Figure;
  readonly p99Ms: Figure;
  /** Of the server, with the work that its answers leave behind; undefined where the system does not tell. */
  readonly cpuUs: Figure | undefined;
  readonly redisUs: Figure;
  /** Share of its core that the server used: under 0.9 something else was the limit, and CPU says more than throughput. */
  readonly busy: Figure | undefined;
  /** Its throughput as a share of the floor's, of each round; of lanes beside floor and broker. */
  readonly toFloor?: Figure;
}

export interface PathReport {
  readonly path: HttpPath;
  /** Our throughput as a share of the floor's, of each round. */
  readonly ratio: Figure;
  /** The floor's CPU per request as a share of ours. */
  readonly cpuRatio: Figure | undefined;
  readonly goal: number;
  readonly floor: LaneReport;
  readonly broker: LaneReport;
  /** Variants of the floor that tell what one duty costs. */
  readonly others: readonly LaneReport[];
  /** The broker at a steady 80 % of its own throughput. */
  readonly atEighty: { readonly perSecond: number; readonly p50Ms: number; readonly p99Ms: number } | undefined;
}

export interface Bench {
  readonly options: BenchOptions;
  readonly scenario: Scenario;
  readonly redis: BenchRedis;
  readonly loader: Loader;
  readonly floor: Program;
  readonly broker: Program;
  /** Measured in the same rounds, where it is wanted. */
  readonly peer?: Peer | undefined;
}

interface Lane {
  readonly name: string;
  readonly program: Program;
  readonly route: string;
  /** Of the peer: what it is asked, and how. */
  readonly peer?: PeerLane;
}

interface Round {
  readonly result: JobResult;
  readonly perSecond: number;
  readonly cpuUs: number;
  readonly redisUs: number;
  readonly busy: number;
}

const GOALS: Readonly<Record<HttpPath, number>> = { "issue-es256": 0.85, "issue-rs256": 0.85, introspect: 0.9, revoke: 0.9 };
const EXPECTED: Readonly<Record<HttpPath, string>> = {
  "issue-es256": '"access_token":"',
  "issue-rs256": '"access_token":"',
  introspect: '"active":true',
  revoke: "{}",
};
/** The floor keeps no account of spent evidence: it may be shown the same again, which spares minting. */
const FLOOR_BODIES = 4_000;
/** Warm is who has answered so many: until then V8 is still compiling, and more for the program that has more to compile. */
const WARM_REQUESTS = 8_000;
const WARM_MS = 2_000;
const WARMEST_MS = 12_000;

const isIssue = (path: HttpPath): boolean => path.startsWith("issue-");
const algOf = (path: HttpPath): EvidenceAlg => (path === "issue-rs256" ? "RS256" : "ES256");

/** Measures paths in rounds that take turns between the programs, so that a slow moment of the machine strikes both. */
export class Rounds {
  readonly #bench: Bench;
  /** Live tokens of each program, from its own answers: what there is to introspect and to revoke. */
  readonly #tokens = new Map<Program, string[]>();
  /** Requests a second as last seen, to know how much evidence a round needs. */
  readonly #rates = new Map<string, number>();

  readonly #served = new Map<string, number>();

  constructor(bench: Bench) {
    this.#bench = bench;
  }

  async measure(paths: readonly HttpPath[]): Promise<readonly PathReport[]> {
    const { options } = this.#bench;
    const all = paths.map((path) => ({ path, lanes: this.#lanesOf(path).map((lane) => ({ lane, rounds: [] as Round[] })) }));
    for (const { path, lanes } of options.requests === undefined ? all : []) {
      options.say(`warming up ${path}`);
      for (const { lane } of lanes) await this.#warm(path, lane);
    }
    for (let count = 1; count <= options.rounds; count += 1) {
      for (const { path, lanes } of all) {
        const turn = count % 2 === 0 ? lanes.toReversed() : lanes;
        for (const { lane, rounds } of turn) rounds.push(await this.#round(path, lane, options.seconds * 1000));
        const said = lanes.map(({ lane, rounds }) => `${lane.name} ${Math.round(rounds.at(-1)?.perSecond ?? 0)}/s`);
        options.say(`round ${count} of ${options.rounds}, ${path}: ${said.join(", ")}`);
      }
    }
    const reports: PathReport[] = [];
    for (const { path, lanes } of all) reports.push(await this.#report(path, lanes));
    return reports;
  }

  /** Requests that each program has answered, by its name. */
  get served(): ReadonlyMap<string, number> {
    return this.#served;
  }

  async #warm(path: HttpPath, lane: Lane): Promise<void> {
    const until = performance.now() + WARMEST_MS;
    let answered = 0;
    while (answered < WARM_REQUESTS && performance.now() < until) answered += (await this.#round(path, lane, WARM_MS)).result.done;
  }

  #lanesOf(path: HttpPath): readonly Lane[] {
    const { floor, broker } = this.#bench;
    const route = isIssue(path) ? "token" : path;
    const both = [
      { name: "floor", program: floor, route },
      { name: "broker", program: broker, route },
    ];
    const { peer } = this.#bench;
    const peers =
      peer === undefined ? [] : peer.lanes(path).map((lane) => ({ name: lane.name, program: peer, route: lane.route, peer: lane }));
    if (path === "issue-es256") return [...both, { name: "floor + task token", program: floor, route: "token-and-task-token" }, ...peers];
    if (path === "introspect") return [...both, { name: "floor by hash", program: floor, route: "introspect-by-hash" }, ...peers];
    return [...both, ...peers];
  }

  async #round(path: HttpPath, lane: Lane, ms: number, pace?: number): Promise<Round> {
    const { options, redis, loader } = this.#bench;
    const { program } = lane;
    const limit =
      options.requests === undefined
        ? { ms, count: Math.ceil((this.#rateOf(path, lane) * ms * 1.3) / 1000) }
        : { ms: 60_000, count: options.requests };
    const bodies = lane.peer?.mint?.(limit.count) ?? (await this.#bodies(path, program, limit.count));
    await this.#quiet();
    const [cpuBefore, redisBefore] = [cpuMsOf(program.pid), await redis.cpuMs()];
    const result = await loader.run({
      port: program.port,
      path: `/oauth2/${lane.route}`,
      headers: lane.peer?.headers ?? (path === "introspect" ? [`Authorization: ${BASIC}`] : []),
      bodies,
      cycle: options.requests === undefined && (path === "introspect" || (isIssue(path) && program.name === "floor")),
      connections: options.connections,
      ms: limit.ms,
      expect: { status: 200, text: lane.peer?.expect ?? EXPECTED[path] },
      collect: isIssue(path) ? "access_token" : undefined,
      pace,
    });
    this.#served.set(program.name, (this.#served.get(program.name) ?? 0) + result.done);
    const cpuAtEnd = cpuMsOf(program.pid);
    await this.#quiet();
    const [cpuAfter, redisAfter] = [cpuMsOf(program.pid), await redis.cpuMs()];
    if (result.failed > 0)
      throw new Error(`${path}: ${result.failed} of ${result.done} answers of the ${lane.name} were wrong: ${result.firstFailure}`);
    const perSecond = (result.done * 1000) / result.ms;
    if (pace === undefined) this.#rates.set(`${path} ${lane.name}`, perSecond);
    // a peer's tokens are each client's own: those that are looked at later are asked for by who looks
    if (isIssue(path) && lane.peer === undefined) this.#stock(program).push(...result.collected);
    const spent = (after: number | undefined): number => (after === undefined || cpuBefore === undefined ? Number.NaN : after - cpuBefore);
    return {
      result: { ...result, collected: [] },
      perSecond,
      cpuUs: (spent(cpuAfter) * 1000) / result.done,
      redisUs: ((redisAfter - redisBefore) * 1000) / result.done,
      busy: spent(cpuAtEnd) / result.ms,
    };
  }

  #rateOf(path: HttpPath, lane: Lane): number {
    return this.#rates.get(`${path} ${lane.name}`) ?? 2_500;
  }

  #stock(program: Program): string[] {
    let stock = this.#tokens.get(program);
    if (stock === undefined) this.#tokens.set(program, (stock = []));
    return stock;
  }

  async #bodies(path: HttpPath, program: Program, wanted: number): Promise<readonly string[]> {
    const { options, scenario } = this.#bench;
    if (isIssue(path)) {
      const count = program.name === "floor" && options.requests === undefined ? Math.min(wanted, FLOOR_BODIES) : wanted;
      return scenario.mint(count, algOf(path), program.url);
    }
    const stock = this.#stock(program);
    // revoking uses tokens up, introspecting does not
    const needed = path === "revoke" ? Math.min(wanted, 10_000) : Math.min(wanted, 2_000);
    if (stock.length < needed) await this.#issueUnmeasured(program, needed - stock.length);
    const tokens = path === "revoke" ? stock.splice(0, wanted) : stock.slice(-2_000);
    return tokens.map((token) => `token=${token}`);
  }

  async #issueUnmeasured(program: Program, count: number): Promise<void> {
    const { scenario, loader, options } = this.#bench;
    const stocking = program.name === "peer" ? this.#bench.peer?.stock : undefined;
    const bodies = stocking?.mint?.(count) ?? (await scenario.mint(count, "ES256", program.url));
    const common = {
      port: program.port,
      path: "/oauth2/token",
      headers: stocking?.headers ?? [],
      cycle: false,
      connections: options.connections,
      ms: 120_000,
      pace: undefined,
    };
    const { collected } = await loader.run({
      ...common,
      bodies,
      expect: { status: 200, text: EXPECTED["issue-es256"] },
      collect: "access_token",
    });
    this.#stock(program).push(...collected);
  }

  /** Until both servers have little left to do: what one leaves behind must not slow the other down. */
  async #quiet(): Promise<void> {
    const { floor, broker, peer, options } = this.#bench;
    const programs = [floor, broker, ...(peer === undefined ? [] : [peer])];
    const used = (): number => programs.reduce((sum, { pid }) => sum + (cpuMsOf(pid) ?? 0), 0);
    // a broker is never quite idle: it sweeps and exports several times a second
    for (let tries = options.requests === undefined ? 20 : 1; tries > 0; tries -= 1) {
      const before = used();
      await pause(150);
      if (used() - before <= 20) return;
    }
  }

  async #report(path: HttpPath, lanes: readonly { readonly lane: Lane; readonly rounds: readonly Round[] }[]): Promise<PathReport> {
    const [floor, broker, ...others] = lanes;
    if (floor === undefined || broker === undefined) throw new Error("no lanes");
    const beside = (rounds: readonly Round[], of: (floor: Round, other: Round) => number): Figure =>
      figureOf(
        floor.rounds.flatMap((round, index) => {
          const other = rounds[index];
          return other === undefined ? [] : [of(round, other)];
        }),
      );
    const paired = (of: (floor: Round, broker: Round) => number): Figure => beside(broker.rounds, of);
    const cpuRatio = paired((a, b) => a.cpuUs / b.cpuUs);
    const figures = laneReport(broker.lane, broker.rounds);
    return {
      path,
      ratio: paired((a, b) => b.perSecond / a.perSecond),
      cpuRatio: Number.isFinite(cpuRatio.median) ? cpuRatio : undefined,
      goal: GOALS[path],
      floor: laneReport(floor.lane, floor.rounds),
      broker: figures,
      others: others.map(({ lane, rounds }) => ({
        ...laneReport(lane, rounds),
        toFloor: beside(rounds, (floor, other) => other.perSecond / floor.perSecond),
      })),
      atEighty: isIssue(path) && this.#bench.options.requests === undefined ? await this.#atEighty(path, broker.lane, figures) : undefined,
    };
  }

  async #atEighty(path: HttpPath, lane: Lane, figures: LaneReport): Promise<PathReport["atEighty"]> {
    const pace = figures.perSecond.median * 0.8;
    const { result, perSecond } = await this.#round(path, lane, this.#bench.options.seconds * 1000, pace);
    return { perSecond, p50Ms: result.p50Ms, p99Ms: result.p99Ms };
  }
}

function laneReport(lane: Lane, rounds: readonly Round[]): LaneReport {
  const of = (pick: (round: Round) => number): Figure => figureOf(rounds.map(pick));
  const [cpuUs, busy] = [of(({ cpuUs }) => cpuUs), of(({ busy }) => busy)];
  return {
    lane: lane.name,
    perSecond: of(({ perSecond }) => perSecond),
    p50Ms: of(({ result }) => result.p50Ms),
    p99Ms: of(({ result }) => result.p99Ms),
    cpuUs: Number.isFinite(cpuUs.median) ? cpuUs : undefined,
    redisUs: of(({ redisUs }) => redisUs),
    busy: Number.isFinite(busy.median) ? busy : undefined,
  };
}
