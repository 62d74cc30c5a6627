import { setTimeout as sleep } from "node:timers/promises";
import type { RevocationView } from "../../domain/wire.ts";
import { formatDuration } from "../../domain/time.ts";
import type { OperatorClient } from "../operator-client.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit-codes.ts";
import { plural, tally, type ReceiptLease } from "./receipt.ts";
import { clean, note } from "./screen.ts";
import { clockTime } from "./times.ts";

const STEP_MS = 250;
/** Marks bite at once; what targets have not confirmed by then is reported as it stands. */
const WAIT_MS = 60_000;

/** `workload github/acme/shop` */
export const selectorText = (selector: Readonly<Record<string, unknown>>): string =>
  Object.entries(selector)
    .map(([kind, name]) =>
      kind === "all" ? "everything" : clean(`${kind} ${String(name).replace(/^(sha256:[0-9a-f]{12})[0-9a-f]{52}$/, "$1")}`),
    )
    .join(", ");

/** Watches a revocation until nothing is left to do, prints its receipt, and answers 0, or 10 where something may still be honoured. */
export async function follow(context: Context, operator: OperatorClient, started: RevocationView): Promise<number> {
  const { screen, clock } = context;
  const until = clock() + WAIT_MS;
  let job = started;
  let shown = "";
  const interrupted = (): void => {
    note(screen, `\n! ${job.id} goes on without us: what it covers is refused since ${clockTime(job.in_force_at, clock())}`);
    process.exit(130);
  };
  process.once("SIGINT", interrupted);
  try {
    while (goesOn(job) && clock() < until) {
      await sleep(STEP_MS);
      job = await operator.revocation(job.id);
      const line = `  ${job.state} ${job.ended}/${job.matched}`;
      if (line !== shown) screen.err.write(screen.errTty ? `\r\x1b[K${line}` : `${line}\n`);
      shown = line;
    }
    if (screen.errTty && shown !== "") screen.err.write("\r\x1b[K");
  } finally {
    process.off("SIGINT", interrupted);
  }
  return report(context, job);
}

/** Something may still come of it soon: what is stuck is tried every 15 minutes, and nobody waits for that here. */
const goesOn = ({ state, receipt }: RevocationView): boolean =>
  state !== "done" || (!receipt.settled && ((receipt.more ?? 0) > 0 || receipt.leases.some(({ outcome }) => outcome === "revoking")));

/** The receipt in words. */
export function report({ screen, clock }: Context, job: RevocationView): number {
  const now = clock();
  const { errColor: color } = screen;
  const { dead, dying, open, stuck } = tally(job.receipt.leases, now);
  const took = percentiles(job.receipt.leases.map((lease) => lease.took_ms).filter((ms) => ms !== null));
  const parts = [`${dead + (job.receipt.more ?? 0)} dead${took}`];
  if (dying > 0) parts.push(`${dying} ${fate(job.receipt.leases, clockTime(job.receipt.dead_by, now))}`);
  if (open > 0) parts.push(`${open} not yet confirmed by their targets`);
  if (stuck > 0) parts.push(`${plural(stuck, "lease")} stuck (stint lease ls --state stuck)`);
  const whole = job.state === "done" && dying + open + stuck === 0;
  const head = job.matched === 0 ? "nothing was out" : parts.shift();
  note(screen, `${whole ? color.green("✓") : color.yellow("!")} ${[head, ...(job.matched > 0 ? parts : [])].join(" · ")}`);
  note(
    screen,
    `  ${job.id} · in force since ${clockTime(job.in_force_at, now)}${job.state === "done" ? "" : ` · still ${job.state}: what it covers is refused already`}`,
  );
  if (job.lock !== null) note(screen, `  ${job.lock} refuses new ones · undo: stint lock rm ${job.lock}`);
  for (const lease of job.receipt.leases.filter((one) => one.outcome === "stuck" || one.outcome === "revoking").slice(0, 10)) {
    note(screen, `  ${lease.lease_id}  ${lease.outcome}  ${clean(lease.reason ?? lease.issuer)}`);
  }
  return whole ? EXIT.ok : EXIT.partial;
}

/** What becomes of those that are revoked and not dead yet. */
const fate = (leases: readonly ReceiptLease[], until: string): string =>
  leases.some(({ outcome, revocation }) => outcome === "dead_by" && revocation === "expiry_only")
    ? `may be honoured until ${until} by verifiers that do not ask`
    : `revoked, honoured nowhere after ${until}`;

function percentiles(took: readonly number[]): string {
  if (took.every((ms) => ms === 0)) return "";
  const sorted = [...took].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return sorted.length < 3
    ? ` in ${formatDuration(at(1))}`
    : ` in ${formatDuration(at(1))} (p50 ${formatDuration(at(0.5))}, p99 ${formatDuration(at(0.99))})`;
}
