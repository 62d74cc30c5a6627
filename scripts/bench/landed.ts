import { z } from "zod";
import type { Figure } from "./figures.ts";
import { NOISY } from "./figures.ts";
import type { BenchReport } from "./run.ts";

const Ratio = z.strictObject({ median: z.number(), min: z.number(), max: z.number(), better: z.enum(["more", "less"]) });
type Ratio = z.infer<typeof Ratio>;

/** What is kept of a report: only what travels between machines, and what it was measured with. */
export const Landed = z.strictObject({
  machine: z.strictObject({ cores: z.number(), cpu: z.string(), system: z.string(), pinned: z.boolean() }),
  versions: z.record(z.string(), z.string()),
  settings: z.record(z.string(), z.unknown()),
  /** Programs whose throughput differed too much between rounds to tell. */
  noisy: z.array(z.string()),
  ratios: z.record(z.string(), Ratio),
});
export type Landed = z.infer<typeof Landed>;

/** One ratio, then and now. `change` is a share of what it was: above 0 is better. */
export interface Change {
  readonly name: string;
  readonly was: Ratio;
  readonly is: Ratio;
  readonly change: number;
  readonly verdict: "worse" | "better" | "same";
}

/** How lanes of the peer begin. */
const PEER = "node-oidc-provider";
/** Less than this is never called a change, however quiet the machine was. */
const LEAST = 0.05;

/** The report's ratios: throughput and CPU beside the floor, peers beside the floor, and bytes a lease takes. */
export function landedOf({ machine, versions, settings, noisy, paths, store }: BenchReport): Landed {
  const ratios: Record<string, Ratio> = {};
  const keep = (name: string, figure: Figure | undefined, better: Ratio["better"] = "more"): void => {
    if (figure === undefined) return;
    const [median = 0, min = 0, max = 0] = [figure.median, figure.min, figure.max].map((value) => Number(value.toPrecision(4)));
    ratios[name] = { median, min, max, better };
  };
  for (const { path, ratio, cpuRatio, floor, others } of paths) {
    keep(`${path}: throughput of the floor's`, ratio);
    keep(`${path}: CPU of the floor's`, cpuRatio);
    for (const lane of others.filter((one) => one.lane.startsWith(PEER))) {
      keep(`${path}: ${lane.lane}, throughput of the floor's`, lane.toFloor);
      keep(`${path}: ${lane.lane}, CPU of the floor's`, quotient(floor.cpuUs, lane.cpuUs));
    }
  }
  const bytes = store?.memory?.byBudget;
  if (bytes !== undefined) keep("memory: bytes a lease", { median: bytes, min: bytes, max: bytes, spread: 0 }, "less");
  return { machine: { ...machine }, versions, settings: { ...settings }, noisy: [...noisy], ratios };
}

/** Every ratio that both have. It has changed when it differs by more than either run's own spread. */
export function changesOf(was: Landed, now: Landed): readonly Change[] {
  return Object.entries(now.ratios).flatMap(([name, is]) => {
    const before = was.ratios[name];
    if (before === undefined) return [];
    const raw = is.median / before.median - 1;
    const change = is.better === "more" ? raw : -raw;
    const beyond = Math.max(LEAST, spreadOf(before), spreadOf(is));
    const verdict = Math.abs(change) <= beyond ? "same" : change > 0 ? "better" : "worse";
    return [{ name, was: before, is, change, verdict }];
  });
}

/** Of ours only: what a peer does is not our regression. */
export const regressions = (changes: readonly Change[]): readonly Change[] =>
  changes.filter(({ name, verdict }) => verdict === "worse" && !name.includes(PEER));

/** Of two figures that were not paired: as far apart as they may have been. */
const quotient = (over: Figure | undefined, under: Figure | undefined): Figure | undefined =>
  over === undefined || under === undefined
    ? undefined
    : { median: over.median / under.median, min: over.min / under.max, max: over.max / under.min, spread: 0 };

const spreadOf = ({ median, min, max }: Ratio): number => (max - min) / median;

/** The changes for people, with a word where a run was too noisy to tell. */
export function renderChanges(changes: readonly Change[], was: Landed): string {
  if (changes.length === 0) return "CHANGES: nothing that was measured is in the last landed report\n";
  const width = Math.max(...changes.map(({ name }) => name.length));
  const number = (value: number): string => (value < 100 ? value.toFixed(2) : value.toFixed(0)).padStart(7);
  const rows = changes.map(({ name, was: before, is, change, verdict }) => {
    const noisy = Math.max(spreadOf(before), spreadOf(is)) > NOISY ? ", too noisy to tell less than that" : "";
    const percent = `${change > 0 ? "+" : ""}${Math.round(change * 100)} %`.padStart(6);
    return `  ${name.padEnd(width)} ${number(before.median)} ${number(is.median)} ${percent}  ${verdict}${noisy}`;
  });
  return `CHANGES since Stint ${was.versions["stint"] ?? "?"} on ${was.machine.cpu} (was, is)\n${rows.join("\n")}\n`;
}
