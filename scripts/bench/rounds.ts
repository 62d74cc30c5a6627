import { setTimeout as pause } from "node:timers/promises";
import { Bodies, type Suppliers } from "./bodies.ts";
import type { BrokerStore } from "./broker-store.ts";
import { cpuMsOf } from "./children.ts";
import { EXPECTED, isIssue, lanesOf, type Lane } from "./lanes.ts";
import type { HttpPath } from "./options.ts";
import { pathReport, type LaneReport, type PathReport, type Round } from "./path-reports.ts";
import type { Program } from "./programs.ts";
import type { BenchRedis } from "./redis.ts";
import { BASIC } from "./scenario.ts";

/** Whoever takes part. The peer is measured in the same rounds, where it is wanted. */
export interface Bench extends Suppliers {
  readonly redis: BenchRedis;
  readonly store: BrokerStore;
  readonly floor: Program;
  readonly broker: Program;
}

/** Warm is who has answered so many: until then V8 is still compiling, and more for the program that has more to compile. */
const WARM_REQUESTS = 8_000;
const WARM_MS = 2_000;
const WARMEST_MS = 12_000;

/** Measures paths in rounds that take turns between the programs, so that a slow moment of the machine strikes both. */
export class Rounds {
  readonly #bench: Bench;
  readonly #bodies: Bodies;
  /** Requests a second as last seen, to know how much evidence a round needs. */
  readonly #rates = new Map<string, number>();

  readonly #served = new Map<string, number>();

  constructor(bench: Bench) {
    this.#bench = bench;
    this.#bodies = new Bodies(bench);
  }

  async measure(paths: readonly HttpPath[]): Promise<readonly PathReport[]> {
    const { options } = this.#bench;
    const all = paths.map((path) => ({ path, lanes: lanesOf(path, this.#bench).map((lane) => ({ lane, rounds: [] as Round[] })) }));
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
    for (const { path, lanes } of all) {
      const report = pathReport(
        path,
        lanes.map(({ lane, rounds }) => ({ lane: lane.name, rounds })),
      );
      reports.push({ ...report, atEighty: await this.#atEighty(path, report.broker) });
    }
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

  async #round(path: HttpPath, lane: Lane, ms: number, pace?: number): Promise<Round> {
    const { options, redis, store, loader } = this.#bench;
    const { program } = lane;
    const limit =
      options.requests === undefined
        ? { ms, count: Math.ceil((this.#rateOf(path, lane) * ms * 1.3) / 1000) }
        : { ms: 60_000, count: options.requests };
    const bodies = await this.#bodies.of(path, lane, limit.count);
    await this.#quiet();
    const [cpuBefore, redisBefore] = [cpuMsOf(program.pid), (await redis.cpuMs()) + (await store.cpuMs())];
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
    const [cpuAfter, redisAfter] = [cpuMsOf(program.pid), (await redis.cpuMs()) + (await store.cpuMs())];
    if (result.failed > 0)
      throw new Error(`${path}: ${result.failed} of ${result.done} answers of the ${lane.name} were wrong: ${result.firstFailure}`);
    const { perSecond } = result;
    if (pace === undefined) this.#rates.set(`${path} ${lane.name}`, perSecond);
    // a peer's tokens are each client's own: those that are looked at later are asked for by who looks
    if (isIssue(path) && lane.peer === undefined) this.#bodies.keep(program, result.collected);
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

  /** Issuing alone, by the broker alone. */
  async #atEighty(path: HttpPath, figures: LaneReport): Promise<PathReport["atEighty"]> {
    const { options } = this.#bench;
    if (!isIssue(path) || options.requests !== undefined) return undefined;
    const [, lane] = lanesOf(path, this.#bench);
    const { result, perSecond } = await this.#round(path, lane, options.seconds * 1000, figures.perSecond.median * 0.8);
    return { perSecond, p50Ms: result.p50Ms, p99Ms: result.p99Ms };
  }
}
