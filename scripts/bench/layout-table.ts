import type { LayoutRow } from "./layouts.ts";
import type { StartReport } from "./starts.ts";
import { table, two, whole } from "./columns.ts";

/** Ratios to one Redis of the same round first. */
export function layoutTable(rows: readonly LayoutRow[]): string {
  const cells = rows.map(({ name, ratio, cpuUs, scriptUs, waits }) => [
    name,
    two(ratio.median),
    `${two(ratio.min)} to ${two(ratio.max)}`,
    whole(cpuUs.median),
    whole(scriptUs.median),
    two(waits),
  ]);
  return table(["store", "CPU to one Redis", "range", "CPU us", "in scripts us", "WAITs a lease"], cells);
}

export function startLine({ leases, emptyMs, fullMs, ratio, goal }: StartReport): string {
  const met = ratio.median <= goal ? "met" : "missed";
  return `STARTS: ready with ${leases.toLocaleString("en")} live leases in ${two(ratio.median)} (${two(ratio.min)} to ${two(ratio.max)}) of the time with none (goal ${goal}: ${met}); ${whole(fullMs.median)} and ${whole(emptyMs.median)} ms`;
}
