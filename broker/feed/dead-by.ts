import { bucketOfId } from "../../domain/ids.ts";
import type { LeaseEnding } from "../../store/api.ts";
import { FED_EVERY_MS } from "./limits.ts";
import type { Position } from "./position.ts";

/** An instance of a verifier that reads the feed, its position read. */
export interface Knower {
  /** When it was last heard of or fed. */
  readonly at: number;
  readonly maxStalenessMs: number;
  readonly position: Position | undefined;
  readonly ackedAt: number;
}

/** What can be said of when a lease that verifiers check was dead. */
export interface Death {
  readonly deadBy: number;
  /** Nothing that may still be heard can change it. */
  readonly final: boolean;
  /** An instance is at work that has not said yet that it knows. */
  readonly awaited: boolean;
}

/** A connected instance may have been fed for this long after it was last noted. */
const FED_SLACK_MS = FED_EVERY_MS + 1_000;
/** Allowance for what a verifier measures. */
const MARGIN_MS = 1_000;
/** Brokers that agree about the time differ by no more. */
const CLOCKS_MS = 2_000;

/**
 * When every one of these instances refused the lease, at the latest. One that has acknowledged its ending refused it from then on. Any
 * other has heard nothing newer than the ending, or than what it was last fed, and denies everything `maxStaleness` after that: each
 * event says up to when the reader knows everything. Never later than the token's own end.
 */
export function deathOf(ending: LeaseEnding, instances: Iterable<Knower>, now: number): Death {
  const { expiresAt } = ending;
  const endedAt = ending.endedAt ?? expiresAt;
  let deadBy = endedAt;
  let final = true;
  let awaited = false;
  for (const instance of instances) {
    const limit = Math.min(endedAt, instance.at + FED_SLACK_MS) + instance.maxStalenessMs + MARGIN_MS;
    if (knows(instance, ending, endedAt)) {
      deadBy = Math.max(deadBy, Math.min(instance.ackedAt, limit));
      continue;
    }
    deadBy = Math.max(deadBy, limit);
    if (limit <= now) continue;
    final = false;
    awaited ||= instance.at + FED_SLACK_MS > now;
  }
  if (deadBy >= expiresAt) return { deadBy: expiresAt, final: final || expiresAt <= now, awaited };
  return { deadBy, final, awaited };
}

/**
 * When everybody who checks this lease's credential against a published list had read that it ended: `checkedWithinMs` after the list
 * said so, and never later than its own end. Nothing is known while the target has not confirmed.
 */
export function deathByList(ending: LeaseEnding, checkedWithinMs: number, now: number): Death {
  const { outcome, endedAt, expiresAt, tookMs } = ending;
  if (outcome === "revoking" || outcome === "stuck") return { deadBy: expiresAt, final: false, awaited: false };
  // where it is not known when the list said so, it says so now
  const listedAt = endedAt === undefined || tookMs === undefined ? now : endedAt + tookMs;
  return { deadBy: Math.min(listedAt + checkedWithinMs, expiresAt), final: tookMs !== undefined, awaited: false };
}

/** How long after an ending at `now` this instance may honour what it does not know of. */
export function delayOf({ at, maxStalenessMs }: Knower, now: number): number {
  return Math.max(0, Math.min(now, at + FED_SLACK_MS) + maxStalenessMs + MARGIN_MS - now);
}

function knows({ position }: Knower, { leaseId, announced }: LeaseEnding, endedAt: number): boolean {
  if (position === undefined) return false;
  if (announced !== undefined && (position.vector[bucketOfId(leaseId)] ?? 0) >= announced) return true;
  return position.asOf >= endedAt + CLOCKS_MS;
}
