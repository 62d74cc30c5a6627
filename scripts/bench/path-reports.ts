import { figureOf, type Figure } from "./figures.ts";
import type { JobResult } from "./keep-alive.ts";
import type { HttpPath } from "./options.ts";
import { GOALS } from "./lanes.ts";

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

/** What one lane did in one round. */
export interface Round {
  readonly result: JobResult;
  readonly perSecond: number;
  readonly cpuUs: number;
  readonly redisUs: number;
  readonly busy: number;
}

/** A lane's rounds, in the order in which all lanes took their turns. */
export interface LaneRounds {
  readonly lane: string;
  readonly rounds: readonly Round[];
}

/** Sums up a path; its first lane is the floor, its second the broker. */
export function pathReport(path: HttpPath, lanes: readonly LaneRounds[]): Omit<PathReport, "atEighty"> {
  const [floor, broker, ...others] = lanes;
  if (floor === undefined || broker === undefined) throw new Error("no lanes");
  const beside = (rounds: readonly Round[], of: (floor: Round, other: Round) => number): Figure =>
    figureOf(
      floor.rounds.flatMap((round, index) => {
        const other = rounds[index];
        return other === undefined ? [] : [of(round, other)];
      }),
    );
  const cpuRatio = beside(broker.rounds, (a, b) => a.cpuUs / b.cpuUs);
  return {
    path,
    ratio: beside(broker.rounds, (a, b) => b.perSecond / a.perSecond),
    cpuRatio: Number.isFinite(cpuRatio.median) ? cpuRatio : undefined,
    goal: GOALS[path],
    floor: laneReport(floor),
    broker: laneReport(broker),
    others: others.map((other) => ({ ...laneReport(other), toFloor: beside(other.rounds, (a, b) => b.perSecond / a.perSecond) })),
  };
}

function laneReport({ lane, rounds }: LaneRounds): LaneReport {
  const of = (pick: (round: Round) => number): Figure => figureOf(rounds.map(pick));
  const [cpuUs, busy] = [of(({ cpuUs }) => cpuUs), of(({ busy }) => busy)];
  return {
    lane,
    perSecond: of(({ perSecond }) => perSecond),
    p50Ms: of(({ result }) => result.p50Ms),
    p99Ms: of(({ result }) => result.p99Ms),
    cpuUs: Number.isFinite(cpuUs.median) ? cpuUs : undefined,
    redisUs: of(({ redisUs }) => redisUs),
    busy: Number.isFinite(busy.median) ? busy : undefined,
  };
}
