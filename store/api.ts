/**
 * What the store promises, in the broker's words. Every method that changes something is one Lua script, which also writes its
 * audit record; none reads and then writes. Times are milliseconds. A store that cannot be reached throws
 * `StintError('store_unavailable')` within two seconds.
 */
import type { AuditFacts, AuditRecord } from "../domain/audit-event.ts";
import type { DecisionTrace, DenialView } from "../domain/decision.ts";
import type { ErrorCode } from "../domain/errors.ts";
import type { DenialId, LeaseId, LockId, RevocationId, TaskId } from "../domain/ids.ts";
import type { EndedBy, Lease, LeaseOutcome, LimitedBy, RevocationClass } from "../domain/lease.ts";
import type { EvidenceUse, Principal } from "../domain/principal.ts";
import type { Task, TaskOutcome } from "../domain/task.ts";

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
  /** A mark covers this instant: come back once with an id later than `mark`. */
  | { readonly outcome: "superseded"; readonly mark: number }
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
    readonly ttlMs: number;
    readonly limitedBy: LimitedBy;
    readonly audit: AuditFacts;
    readonly denial: DenialRecord;
    readonly retentionMs: number;
  }): Promise<{ readonly outcome: "renewed"; readonly lease: Lease; readonly limitedBy: LimitedBy } | Refused>;
  get(id: LeaseId): Promise<Lease | undefined>;
  /** True while a token of this lease must be honoured: active, not expired, no mark over it. One trip. */
  isLive(id: LeaseId, keyId: string | undefined): Promise<boolean>;
  list(filter: LeaseFilter, cursor: string | undefined, limit: number): Promise<Page<Lease>>;
  /** Ends one lease: computing issuers at once, others become `revoking` and due. Ending twice is success. */
  end(id: LeaseId, by: EndedBy, audit: AuditFacts): Promise<Lease | undefined>;
  /** Up to `limit` due leases of a bucket: expiries that need no call are ended here, the rest are claimed for a minute. */
  claimDue(
    bucket: number,
    limit: number,
    calls: "allowed" | "on_hold",
  ): Promise<{ readonly expired: number; readonly claimed: readonly DueLease[]; readonly more: boolean }>;
  /** Buckets in which a lease or a task is due now; one pipeline over all buckets, whatever exists. */
  dueBuckets(): Promise<{ readonly leases: readonly number[]; readonly tasks: readonly number[] }>;
  /** One lease, claimed now (for completing and releasing, which try at once). Undefined when there is nothing to do. */
  claim(id: LeaseId): Promise<DueLease | undefined>;
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

export interface OpenTaskOrder {
  readonly taskId: TaskId;
  readonly principal: Principal;
  readonly ttlMs: number;
  readonly heartbeatMs: number | undefined;
  readonly purpose: string | undefined;
  readonly parent: TaskId | undefined;
  /** When set, an implicit task of this value is joined or opened. */
  readonly implicit: { readonly value: string; readonly ttlMs: number } | undefined;
  readonly idempotency: Idempotency | undefined;
  readonly audit: AuditFacts;
  readonly denial: DenialRecord;
  readonly retentionMs: number;
}

export interface TaskStore {
  open(order: OpenTaskOrder): Promise<{ readonly outcome: "opened" | "joined" | "replayed"; readonly task: Task } | Refused>;
  get(id: TaskId): Promise<Task | undefined>;
  list(
    filter: { readonly workload?: string | undefined; readonly state?: string | undefined },
    cursor: string | undefined,
    limit: number,
  ): Promise<Page<Task>>;
  heartbeat(id: TaskId): Promise<Task | undefined>;
  /**
   * Ends the task and its children: no lease can be opened under them from the first script on; their leases end in batches of a
   * hundred. `revoking` are those that still need a call at their target. Ending an ended task changes nothing and answers the same.
   * By `deadline` or `heartbeat` it ends only if that has really passed (else the task comes back open).
   */
  end(
    id: TaskId,
    by: EndedBy,
    outcome: TaskOutcome | undefined,
    audit: AuditFacts,
    retentionMs: number,
  ): Promise<{ readonly task: Task; readonly children: readonly TaskId[]; readonly revoking: readonly LeaseId[] } | undefined>;
  /** Ids of tasks of a bucket past their deadline or heartbeat, with which it was; and of those whose ending was interrupted. */
  due(bucket: number, limit: number): Promise<readonly { readonly id: TaskId; readonly by: EndedBy }[]>;
  /** How every lease of the task stands, for its receipt. */
  endings(id: TaskId): Promise<readonly LeaseEnding[]>;
}

/** What a mark covers. `key` is a signing key. */
export type MarkScope =
  | { readonly kind: "workload" | "grant" | "issuer" | "trust" | "key"; readonly name: string }
  | { readonly kind: "all" };
export type LockScope = { readonly kind: "workload" | "grant" | "issuer" | "trust"; readonly name: string } | { readonly kind: "all" };

export interface Lock {
  readonly id: LockId;
  readonly scope: LockScope;
  readonly until: number;
  readonly reason: string;
  readonly message: string | undefined;
  readonly by: string;
  readonly at: number;
}

export interface RevocationJob {
  readonly id: RevocationId;
  readonly state: "marking" | "cleaning" | "done";
  /** As asked for, `{workload: "github/acme/shop"}`. */
  readonly selector: Readonly<Record<string, unknown>>;
  readonly reason: string;
  readonly by: string;
  readonly at: number;
  readonly matched: number;
  readonly ended: number;
  readonly inForceAt: number | undefined;
  readonly lockId: LockId | undefined;
  readonly endings: readonly LeaseEnding[];
}

export interface RevocationStore {
  /** Subjects a workload selector stands for: itself if it is a subject, else every subject that bore the display name. */
  subjectsOf(workload: string): Promise<readonly string[]>;
  create(job: RevocationJob, retentionMs: number): Promise<void>;
  get(id: RevocationId): Promise<RevocationJob | undefined>;
  list(cursor: string | undefined, limit: number): Promise<Page<RevocationJob>>;
  /** Jobs that are not done, for whichever broker finds them. */
  unfinished(): Promise<readonly RevocationJob[]>;
  progress(
    id: RevocationId,
    retentionMs: number,
    change: {
      readonly state?: RevocationJob["state"];
      readonly matched?: number;
      readonly ended?: number;
      readonly inForceAt?: number;
      readonly endings?: readonly LeaseEnding[];
    },
  ): Promise<void>;
  /** Writes the mark into one bucket; answers the instant it holds there, never earlier than `at`. */
  mark(bucket: number, scope: MarkScope, at: number, audit: AuditFacts): Promise<number>;
  /** For a job that goes on after a crash: a mark that stands since the job began is kept as it is. */
  markAgain(bucket: number, scope: MarkScope, at: number, audit: AuditFacts): Promise<number>;
  /** Ends up to `limit` leases of a bucket that the mark covers. */
  endMarked(
    bucket: number,
    scope: MarkScope,
    at: number,
    audit: AuditFacts,
    limit: number,
    cursor: string | undefined,
  ): Promise<{ readonly endings: readonly LeaseEnding[]; readonly revoking: readonly LeaseId[]; readonly nextCursor: string | undefined }>;
  /** How many live leases a scope covers now, and their classes; for dry runs. Bounded walk of one bucket. */
  count(
    bucket: number,
    scope: MarkScope,
    cursor: string | undefined,
  ): Promise<{ readonly leases: readonly Lease[]; readonly nextCursor: string | undefined }>;
  /** In force when it returns: written into every bucket it concerns. For a workload give its subjects too. */
  addLock(lock: Lock, subjects: readonly string[], audit: AuditFacts): Promise<void>;
  removeLock(id: LockId, audit: AuditFacts): Promise<Lock | undefined>;
  locks(): Promise<readonly Lock[]>;
}

export interface DenialStore {
  /**
   * A refusal that the decision made: its record and its audit record, one script. `spent`: twenty refusals or a use have spent the
   * evidence, so the caller is told `evidence_spent` and nothing more.
   */
  record(denial: DenialRecord, audit: AuditFacts, retentionMs: number, evidence: EvidenceUse | undefined): Promise<"recorded" | "spent">;
  get(id: DenialId): Promise<DenialRecord | undefined>;
  /** Refusals of unverified evidence, in batches into one capped stream; beyond 1,000 a second only counted. */
  recordUnverified(batch: readonly DenialRecord[], uncounted: number): Promise<void>;
}

/** Where a bucket's records stand. */
export interface StreamState {
  readonly lastSeq: number;
  readonly firstWaiting: number | undefined;
  readonly oldestAt: number | undefined;
  /** On hold the store may have gone back: its numbers may stand for other records than those exported. */
  readonly onHold: boolean;
}

export interface AuditStream {
  /** Appends a record that belongs to no other script. */
  append(bucket: number, facts: AuditFacts): Promise<void>;
  /** Records of a bucket after a sequence, in order. */
  read(bucket: number, afterSeq: number, limit: number): Promise<readonly AuditRecord[]>;
  /** Drops what has been exported, up to and including the sequence. */
  trim(bucket: number, uptoSeq: number): Promise<void>;
  /** Last sequence given out and, when any wait, the age of the oldest record not yet exported. */
  state(bucket: number): Promise<StreamState>;
  states(): Promise<readonly StreamState[]>;
  /** The exporter's lock; `fence` rises with every holder. Undefined when another holds it. */
  lock(holder: string, ttlMs: number): Promise<{ readonly fence: number } | undefined>;
  unlock(holder: string): Promise<void>;
}

/** The time that scripts are given. */
export interface StoreClock {
  /** The broker's estimate of Redis TIME, milliseconds. */
  now(): number;
  /** False while the broker's clock and Redis's differ by more than two seconds, or have not been compared lately. */
  agreed(): boolean;
  /** How far the broker's clock is from Redis's, milliseconds. */
  offsetMs(): number;
}

/** What the store found out about its Redis. */
export interface StoreFacts {
  readonly version: string;
  readonly mode: "single" | "sentinel" | "cluster";
  readonly aof: boolean;
  readonly fsync: string;
  /** Anything but `noeviction` is refused at start and stops issuing at run time. */
  readonly evictionPolicy: string;
}

export interface HoldStore {
  /** Puts every bucket on hold: nothing is issued or renewed. */
  set(audit: AuditFacts): Promise<void>;
  /** Takes every bucket off hold and lets go of time marks ahead of the clock. */
  clear(audit: AuditFacts): Promise<void>;
  show(): Promise<{ readonly onHold: boolean; readonly buckets: readonly number[]; readonly aheadMs: number }>;
}

/** One thing that verifiers must hear of. */
export type FeedEntry =
  /** A lease that ended before its `exp`; nothing need be remembered of it after `expiresAt`. */
  | { readonly kind: "lease"; readonly lease: LeaseId; readonly grant: string; readonly expiresAt: number }
  /** Every lease opened at or before `at` that the scope covers. */
  | { readonly kind: "mark"; readonly scope: MarkScope; readonly at: number };

/** What has been revoked and is not yet over, bucket by bucket. A position is the number of a bucket's last entry read. */
export interface FeedStore {
  /** Entries after a position, in order. `gap`: some were forgotten, or the store has gone back; take a snapshot. */
  read(
    bucket: number,
    after: number,
    limit: number,
  ): Promise<{ readonly entries: readonly FeedEntry[]; readonly position: number; readonly gap: boolean }>;
  /** Position of every bucket now; one pipeline. */
  positions(): Promise<readonly number[]>;
  /** Everything that holds in a bucket: marks, then leases a page at a time. What ends meanwhile comes after `position`. */
  snapshot(
    bucket: number,
    cursor: string | undefined,
    limit: number,
  ): Promise<{ readonly entries: readonly FeedEntry[]; readonly position: number; readonly nextCursor: string | undefined }>;
  /** Calls back with a bucket's number as soon as something was added to it; hints may be lost. Returns how to stop. */
  hints(listener: (bucket: number) => void): Promise<() => Promise<void>>;
}

/** Everything the broker remembers. */
export interface Store {
  /** Made at first start, kept in Redis: tells this store from another. */
  readonly id: string;
  readonly firstStart: boolean;
  readonly clock: StoreClock;
  readonly leases: LeaseStore;
  readonly tasks: TaskStore;
  readonly revocations: RevocationStore;
  readonly denials: DenialStore;
  readonly audit: AuditStream;
  readonly hold: HoldStore;
  readonly feed: FeedStore;
  /** Last facts found; looked at again each minute. */
  facts(): StoreFacts;
  /** Writes and reads back; for readiness. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
