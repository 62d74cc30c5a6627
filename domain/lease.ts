import type { LeaseId, TaskId } from "./ids.ts";

/** pending -> active -> revoking -> revoked; stuck is still tried; forced was closed by a named person. */
export const LEASE_STATES = ["pending", "active", "revoking", "stuck", "revoked", "forced"] as const;
export type LeaseState = (typeof LEASE_STATES)[number];

/** Every legal step. A lease once out of `active` never returns to it. */
export const TRANSITIONS: Readonly<Record<LeaseState, readonly LeaseState[]>> = {
  pending: ["active", "revoking"],
  active: ["active", "revoking", "revoked"],
  revoking: ["revoking", "revoked", "stuck", "forced"],
  stuck: ["stuck", "revoking", "revoked", "forced"],
  revoked: [],
  forced: [],
};

/** Why a lease or a task ended. `issue_failed`: the credential never came to be, or nobody got it. */
export const ENDED_BY = ["complete", "exit", "released", "platform", "heartbeat", "deadline", "expiry", "revoked", "issue_failed"] as const;
export type EndedBy = (typeof ENDED_BY)[number];

/** How a credential dies: at the target at once, at verifiers that check, or only by its own `exp`. */
export const REVOCATIONS = ["immediate", "verifier_checked", "expiry_only"] as const;
export type RevocationClass = (typeof REVOCATIONS)[number];

/** Which limit decided a lifetime. */
export const LIMITS = ["asked", "grant", "task", "issuer", "evidence"] as const;
export type LimitedBy = (typeof LIMITS)[number];

/** The record that a credential is outstanding. Times are milliseconds. Never holds the credential. */
export interface Lease {
  readonly id: LeaseId;
  readonly state: LeaseState;
  readonly subject: string;
  readonly workload: string;
  readonly trust: string;
  readonly grant: string;
  readonly issuer: string;
  readonly task: TaskId;
  /** The instant marks compare with; equals the millisecond in the id. */
  readonly openedAt: number;
  readonly expiresAt: number;
  /** Renewing never goes beyond this. */
  readonly maxExpiresAt: number;
  readonly endedAt: number | undefined;
  /** When its end was confirmed: at its target, or at once where nobody need be asked. */
  readonly settledAt?: number | undefined;
  readonly endedBy: EndedBy | undefined;
  readonly revocation: RevocationClass;
  readonly attempts: number;
  readonly lastError: string | undefined;
  /** What was asked beyond the grant's defaults, as `OpenOrder.terms` gave it; a renewal is decided on it again. */
  readonly terms?: string | undefined;
  /** Places of its tokens in status lists, `hour.generation.number` each, as the store gave them out. */
  readonly status?: string | undefined;
  /** Number of the feed's entry, in the lease's bucket, behind which a verifier knows of its end; where it was told at all. */
  readonly announced?: number | undefined;
}

/** What became of one lease, as a receipt says it. */
export const LEASE_OUTCOMES = ["revoked", "already_gone", "revoking", "dead_by", "stuck", "forced"] as const;
export type LeaseOutcome = (typeof LEASE_OUTCOMES)[number];
