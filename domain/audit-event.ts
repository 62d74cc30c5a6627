import type { DenialId, LeaseId, RevocationId, TaskId } from "./ids.ts";

/** Every action that leaves a record. */
export const AUDIT_ACTIONS = [
  "lease.issued",
  "lease.opened",
  "lease.activated",
  "lease.renewed",
  "lease.ending",
  "lease.ended",
  "lease.postponed",
  "lease.stuck",
  "lease.forced",
  "lease.claimed",
  "leases.expired",
  "lease.used_after_end",
  "request.denied",
  "evidence.rejected",
  "task.opened",
  "task.joined",
  "task.heartbeat",
  "task.ended",
  "revocation.started",
  "revocation.done",
  "lock.added",
  "lock.removed",
  "hold.set",
  "hold.cleared",
  "key.added",
  "key.activated",
  "key.retired",
  "key.destroyed",
  "key.withdrawn",
  "policy.loaded",
  "policy.refused",
  "policy.queried",
  "operator.refused",
  "broker.started",
  "broker.stopped",
  "seal.rotated",
  "orphan.ended",
  "target.reconciled",
  "target.rotated",
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/**
 * What a broker says of an action before the store stamps it with bucket, sequence and time.
 * Members are flat and short; nothing here may hold a token, a key or a secret.
 */
export interface AuditFacts {
  readonly action: AuditAction;
  /** Who acted: a subject, `operator:<name>`, `verifier:<name>`, or `broker`. */
  readonly principal: string;
  readonly decision?: "allow" | "deny" | "error";
  readonly code?: string;
  /** The rule that decided, for example `deploy-prod.allow[0]`, and the policy's version. */
  readonly rule?: string;
  readonly policy?: string;
  readonly trust?: string;
  readonly workload?: string;
  readonly subject?: string;
  readonly grant?: string;
  readonly issuer?: string;
  readonly task?: TaskId;
  readonly lease?: LeaseId;
  readonly leases?: readonly LeaseId[];
  readonly denial?: DenialId;
  readonly revocation?: RevocationId;
  readonly reason?: string;
  readonly purpose?: string;
  readonly trace_id?: string;
  readonly [more: string]: unknown;
}

/** A record as it is exported: facts, stamped. `at` is RFC 3339. */
export interface AuditRecord extends AuditFacts {
  readonly bucket: number;
  readonly seq: number;
  readonly at: string;
}
