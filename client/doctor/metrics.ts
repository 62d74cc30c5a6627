import { formatDuration } from "../../domain/time.ts";
import { bad, leftOut, ok, warn, type Finding } from "./finding.ts";

/** How far a figure may go before it is worth a word, and before something is wrong. */
interface Limit {
  readonly check: string;
  readonly metric: string;
  readonly says: (value: number) => string;
  readonly well: string;
  readonly warnAbove: number;
  readonly failAbove: number;
  readonly next: string;
}

const seconds = (value: number): string => formatDuration(Math.round(value) * 1000);

const LIMITS: readonly Limit[] = [
  {
    check: "sweeper",
    metric: "stint_oldest_due_seconds",
    says: (value) => `the oldest lease that is due has waited ${seconds(value)}`,
    well: "what is due is ended at once",
    warnAbove: 30,
    failAbove: 600,
    next: "Is a target away (stint target ls)? Else the sweeper does not keep up: look at Redis and at the broker's CPU.",
  },
  {
    check: "audit backlog",
    metric: "stint_audit_lag_seconds",
    says: (value) => `audit records wait ${seconds(value)} to be written to files`,
    well: "audit records are written as they come",
    warnAbove: 10,
    failAbove: 60,
    next: "Make room on the disk and let the broker write STINT_AUDIT_DIR; beyond a minute nothing is issued.",
  },
  {
    check: "feed",
    metric: "stint_feed_lag_seconds",
    says: (value) => `verifiers are given news ${seconds(value)} old`,
    well: "verifiers are told at once",
    warnAbove: 5,
    failAbove: 15,
    next: "A part of Redis cannot be read: look at its nodes.",
  },
  {
    check: "workers",
    metric: "stint_worker_exits_total",
    says: (value) => `${value} workers ended unasked since the start`,
    well: "no worker has ended unasked",
    warnAbove: 0,
    failAbove: Number.POSITIVE_INFINITY,
    next: "The log says with what.",
  },
];

/** Figures that no other face shows, from the metrics listener; it is usually reached from the broker's own machine only. */
export async function figures(url: string | undefined, timeoutMs: number): Promise<readonly Finding[]> {
  if (url === undefined)
    return [
      leftOut("figures", "left out without the metrics: sweeper, audit backlog, feed, workers", "--metrics http://127.0.0.1:9420/metrics"),
    ];
  let text: string;
  try {
    const response = await fetch(url, { redirect: "error", signal: AbortSignal.timeout(timeoutMs) });
    text = await response.text();
    if (!response.ok) throw new Error(String(response.status));
  } catch {
    return [leftOut("figures", `${url} did not answer`, "STINT_METRICS_LISTEN says where it listens; off is possible, too.")];
  }
  return LIMITS.flatMap((limit) => judged(limit, text));
}

function judged({ check, metric, says, well, warnAbove, failAbove, next }: Limit, text: string): readonly Finding[] {
  const [, found] = new RegExp(`^${metric} (\\S+)`, "m").exec(text) ?? [];
  if (found === undefined) return [];
  const value = Number(found);
  if (value > failAbove) return [bad(check, says(value), { next })];
  return [value > warnAbove ? warn(check, says(value), { next }) : ok(check, well)];
}
