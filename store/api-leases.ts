/** Leases: what opening, ending and listing them take and answer. */
import type { AuditFacts } from "../domain/audit-event.ts";
import type { DecisionTrace, DenialView } from "../domain/decision.ts";
import type { ErrorCode } from "../domain/errors.ts";
import type { DenialId, LeaseId, TaskId } from "../domain/ids.ts";
import type { EndedBy, Lease, LeaseOutcome, LimitedBy, RevocationClass } from "../domain/lease.ts";
import type { Principal } from "../domain/principal.ts";
import type { Task } from "../domain/task.ts";

/** What is kept of a refusal: the caller's view and the operator's trace. */
export interface DenialRecord {
  readonly id: DenialId;
  readonly at: number;
  readonly view: DenialView;
  readonly principal: Pick<Principal, "trust" | "subject" | "workload" | "claims"> | undefined;
  readonly grant: string | undefined;
  readonly trace: DecisionTrace | undefined;
  readonly route: string;
  readonly traceId: string;
  /** Of a refused action: what was asked, and by which verifier. */
  readonly action?: { readonly verifier: string; readonly method: string; readonly path: string; readonly host: string };
}

export type TaskRef =
  /** The task that the trust's template names: joined, or opened by the first request. */
  | { readonly kind: "implicit"; readonly value: string }
  /** A task of this request's own. */
  | { readonly kind: "own" }
  /** A named task, by task token. */
  | { readonly kind: "task"; readonly id: TaskId };

export interface Idempotency {
  /** SHA-256 over subject, route, evidence or task, and the caller's key. */
  readonly key: string;
  /** SHA-256 of the request's body. */
  readonly body: string;
}

export interface OpenOrder {
  readonly leaseId: LeaseId;
  readonly principal: Principal;
  readonly grant: string;
  readonly issuer: string;
  /** Id of the signing key, for marks on keys; undefined for issuers that do not sign. */
  readonly keyId: string | undefined;
  /** `active` for issuers that only compute, `pending` for all others. */
  readonly state: "active" | "pending";
  readonly revocation: RevocationClass;
  /** Lifetime by the decision, and which limit gave it. The script shortens it to the task's end. */
  readonly ttlMs: number;
  readonly limitedBy: LimitedBy;
  readonly maxTtlMs: number;
  readonly task: TaskRef;
  readonly implicitTaskTtlMs: number;
  readonly limits: { readonly active: number | undefined; readonly perHour: number | undefined };
  readonly idempotency: Idempotency | undefined;
  /** What a repeated request needs to be signed again (never a credential); JSON, kept with the idempotency record. */
  readonly replay: string | undefined;
  readonly purpose: string | undefined;
  /**
   * What was asked beyond the grant's defaults (scope, purpose, resource, environment), JSON of at most 2 KiB: a renewal is decided
   * on the same request again and may not widen it. Undefined when nothing was; the script keeps it on the lease as `terms`.
   */
  readonly terms?: string | undefined;
  /** The token gets a place in a status list (`Lease.status`). */
  readonly hasStatus?: boolean;
  /** Of the success; the script adds lease, task, expires_at and limited_by. A task it opens gets a `task.opened` record of its own. */
  readonly audit: AuditFacts;
  /** Written by the script when it refuses, with the code it found. */
  readonly denial: DenialRecord;
  readonly retentionMs: number;
}

/** Refusals that only the store can find. */
export type StoreRefusal = Extract<
  ErrorCode,
  | "evidence_spent"
  | "binding_mismatch"
  | "invalid_dpop_proof"
  | "locked"
  | "task_ended"
  | "limit_active"
  | "limit_rate"
  | "in_flight"
  | "idempotency_mismatch"
  | "already_issued"
  | "clock_disagrees"
  | "on_hold"
  | "audit_unavailable"
  | "not_found"
  | "lease_ended"
  | "not_renewable"
>;
export interface Refused {
  readonly outcome: "refused";
  readonly code: StoreRefusal;
  /** A lock's message for the caller. */
  readonly message?: string;
  readonly retryAfterMs?: number;
  readonly leaseId?: LeaseId;
  /** For `limit_active`: the caller's own live count. */
  readonly live?: number;
}
export type OpenReply =
  | { readonly outcome: "opened"; readonly lease: Lease; readonly limitedBy: LimitedBy; readonly task: Task; readonly taskOpened: boolean }
  | { readonly outcome: "replayed"; readonly lease: Lease; readonly limitedBy: LimitedBy; readonly task: Task; readonly replay: string }
  /** A mark covers this instant, or the key that would sign was withdrawn: come back once, with an id later than `mark` and a key that stands. */
  | { readonly outcome: "superseded"; readonly mark: number; readonly keyWithdrawn: boolean }
  | Refused;

export interface DueLease {
  readonly lease: Lease;
  /** Whoever settles or postpones must bring this epoch; a later claim makes it void. */
  readonly epoch: number;
  /** Sealed, as it was activated. */
  readonly handle: string | undefined;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | undefined;
}

export interface LeaseFilter {
  readonly workload?: string | undefined;
  readonly task?: string | undefined;
  readonly grant?: string | undefined;
  readonly issuer?: string | undefined;
  readonly trust?: string | undefined;
  readonly state?: string | undefined;
  readonly credentialSha256?: string | undefined;
  readonly externalName?: string | undefined;
  /** Those that somebody tried to use after their end, the latest first as far as they are remembered. */
  readonly usedAfterEnd?: boolean | undefined;
}

/** One lease of a receipt, as it stands. */
export interface LeaseEnding {
  readonly leaseId: LeaseId;
  readonly issuer: string;
  readonly outcome: LeaseOutcome;
  readonly revocation: RevocationClass;
  readonly endedAt: number | undefined;
  readonly expiresAt: number;
  readonly tookMs: number | undefined;
  readonly reason: string | undefined;
  readonly grant?: string | undefined;
  /** Number of the feed's entry, in the lease's bucket, behind which a verifier knows of the ending; where it was told at all. */
  readonly announced?: number | undefined;
  /** When it was dead everywhere, once that was known and written down. */
  readonly deadBy?: number | undefined;
}

export interface LeaseStore {
  open(order: OpenOrder): Promise<OpenReply>;
  /** pending -> active. `already_ended`: the task ended or the sweeper was faster; revoke what was made, answer as refused. */
  activate(
    id: LeaseId,
    made: { readonly handle: string | undefined; readonly externalName: string | undefined },
  ): Promise<"activated" | "already_ended">;
  /** Notes which lease a credential's SHA-256 (hex) belongs to, for the lease's life. */
  noteCredential(id: LeaseId, sha256: string, expiresAt: number): Promise<void>;
  renew(order: {
    readonly id: LeaseId;
    readonly taskId: TaskId;
    /** Signing key of the new token. */
    readonly keyId: string | undefined;
    /** Of the new token; a repeated request is answered with the first one's. */
    readonly jti: string;
    readonly ttlMs: number;
    readonly limitedBy: LimitedBy;
    readonly idempotency?: Idempotency | undefined;
    readonly hasStatus?: boolean;
    readonly audit: AuditFacts;
    readonly denial: DenialRecord;
    readonly retentionMs: number;
  }): Promise<{ readonly outcome: "renewed"; readonly lease: Lease; readonly limitedBy: LimitedBy; readonly jti: string } | Refused>;
  get(id: LeaseId): Promise<Lease | undefined>;
  /** True while a token of this lease must be honoured: active, not expired, no mark over it. One trip. */
  isLive(id: LeaseId, keyId: string | undefined): Promise<boolean>;
  list(filter: LeaseFilter, cursor: string | undefined, limit: number): Promise<Page<Lease>>;
  /** Ends one lease: computing issuers at once, others become `revoking` and due. Ending twice is success. */
  end(id: LeaseId, by: EndedBy, audit: AuditFacts): Promise<Lease | undefined>;
  /** The same, and undefined also where it had ended before: then nothing is left to be done or told. */
  endLive(id: LeaseId, by: EndedBy, audit: AuditFacts): Promise<Lease | undefined>;
  /**
   * Up to `limit` due leases of a bucket: expiries that need no call are ended here, the rest are claimed for a minute; those of `busy`
   * issuers are left unclaimed, and are due again in a second.
   */
  claimDue(
    bucket: number,
    limit: number,
    calls: "allowed" | "on_hold",
    busy?: readonly string[],
  ): Promise<{ readonly expired: number; readonly claimed: readonly DueLease[]; readonly more: boolean }>;
  /** Buckets in which a lease or a task is due now; one pipeline over all buckets, whatever exists. */
  dueBuckets(): Promise<{ readonly leases: readonly number[]; readonly tasks: readonly number[] }>;
  /** One lease, claimed now (for completing and releasing, which try at once). Undefined when there is nothing to do. */
  claim(id: LeaseId): Promise<DueLease | undefined>;
  /** A claimed lease that could not be worked on is due again at once, unless somebody has claimed it since. */
  giveBack(id: LeaseId, epoch: number): Promise<void>;
  settle(id: LeaseId, epoch: number, how: "revoked" | "already_gone"): Promise<"settled" | "superseded">;
  postpone(
    id: LeaseId,
    epoch: number,
    to: { readonly delayMs: number; readonly error: string; readonly stuck: boolean },
  ): Promise<"postponed" | "superseded">;
  /** `forced`: one admin, a reason, listed for ever. */
  force(id: LeaseId, operator: string, reason: string): Promise<Lease | undefined>;
  /** Counts by state over all buckets, and the age of the oldest thing due. */
  counts(): Promise<{ readonly byState: Readonly<Record<string, number>>; readonly opened: number; readonly oldestDueMs: number }>;
}
