import { figureOf } from "./figures.ts";

/** One thing told to everybody: milliseconds until each verifier heard of it, and until the last one refused the token. */
export interface Delivery {
  readonly told: readonly number[];
  readonly refused: number | undefined;
}

export interface Spread {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** The time until 99 of 100 were told, in the median round: one stall of the machine is one round, and does not move it. */
  readonly round99: number;
}

/** What a list of deliveries comes to. */
export const spreadOf = (rounds: readonly (readonly number[])[]): Spread => {
  const all = rounds.flat().toSorted((a, b) => a - b);
  const each = rounds.map((round) =>
    quantile(
      round.toSorted((a, b) => a - b),
      0.99,
    ),
  );
  return { p50: quantile(all, 0.5), p99: quantile(all, 0.99), max: all.at(-1) ?? Number.NaN, round99: figureOf(each).median };
};

const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;

interface Took {
  readonly floor: readonly Delivery[];
  readonly ended: readonly Delivery[];
  readonly asked: readonly Delivery[];
  readonly marked: readonly Delivery[];
  readonly workload: readonly Delivery[];
}

/** The figures of a run with one number of verifiers. */
export function measuresOf({ floor, ended, asked, marked, workload }: Took) {
  const told = (list: readonly Delivery[]): Spread => spreadOf(list.map((each) => each.told));
  const refused = (list: readonly Delivery[]): Spread =>
    spreadOf(list.map((each) => (each.refused === undefined ? [] : [each.refused])).filter((each) => each.length > 0));
  return {
    floor: told(floor),
    ended: told(ended),
    asked: told(asked),
    marked: told(marked),
    refusedOne: refused(ended),
    refusedMark: refused(workload),
  };
}
