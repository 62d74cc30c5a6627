import type { ReceiptView } from "../../domain/wire.ts";
import { formatDuration } from "../../domain/time.ts";
import { clean, type Screen } from "./screen.ts";
import { clockTime } from "./times.ts";

export type ReceiptLease = ReceiptView["leases"][number];

/** How many leases of a receipt are dead, will die by a known time, or wait for a target. */
export interface Tally {
  readonly dead: number;
  /** Ended, but some verifier may honour it until its `dead_by`. */
  readonly dying: number;
  /** A target has not confirmed yet, or cannot be reached. */
  readonly open: number;
  readonly stuck: number;
}

export function tally(leases: readonly ReceiptLease[], now: number): Tally {
  const count = { dead: 0, dying: 0, open: 0, stuck: 0 };
  for (const lease of leases) count[fateOf(lease, now)] += 1;
  return count;
}

export function fateOf(lease: ReceiptLease, now: number): keyof Tally {
  if (lease.outcome === "stuck" || lease.outcome === "forced") return "stuck";
  if (lease.outcome === "revoking") return "open";
  // that it is dead already is the broker's word: our clock may be behind its own, by milliseconds or more
  return lease.outcome === "dead_by" && lease.dead_by !== null && Date.parse(lease.dead_by) > now ? "dying" : "dead";
}

/** One line for the end of a task: what died, what did not, and until when. Never says dead of what may still be honoured. */
export function receiptLine(receipt: ReceiptView, now: number, screen: Screen): string {
  const { dead, dying, open, stuck } = tally(receipt.leases, now);
  const { errColor: color } = screen;
  const took = Math.max(0, ...receipt.leases.map((lease) => lease.took_ms ?? 0));
  const parts: string[] = [];
  if (receipt.leases.length === 0) parts.push("nothing was issued");
  if (dead > 0) parts.push(`${plural(dead, "credential")} dead${took > 0 ? ` in ${formatDuration(took)}` : ""}`);
  if (dying > 0) parts.push(`${plural(dying, "credential")} revoked, honoured nowhere after ${clockTime(receipt.dead_by, now)}`);
  if (open > 0) parts.push(`${plural(open, "credential")} still being revoked`);
  if (stuck > 0) parts.push(`${plural(stuck, "credential")} stuck: an operator must look`);
  const good = open === 0 && stuck === 0;
  const id = clean(receipt.task ?? receipt.revocation ?? "");
  return `${good ? color.green("✓") : color.yellow("!")} ${id} ended (${receipt.ended_by}): ${parts.join(" · ")}`;
}

/** ` (alive until 14:31:07Z at the latest)`, where that is known. */
export function deadByText(deadBy: Date | undefined, now: number): string {
  return deadBy === undefined ? "" : ` (credentials live until ${clockTime(deadBy.toISOString(), now)} at the latest)`;
}

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;
