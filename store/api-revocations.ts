/** Marks, locks and the jobs that clean up behind a mark. */
import type { AuditFacts } from "../domain/audit-event.ts";
import type { LeaseId, LockId, RevocationId } from "../domain/ids.ts";
import type { Lease } from "../domain/lease.ts";
import type { LeaseEnding, Page } from "./api-leases.ts";

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
  /** When somebody last noted progress: whoever runs it is alive. */
  readonly notedAt?: number;
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
  /** Notes how far a job has come; answers its totals. */
  progress(
    id: RevocationId,
    retentionMs: number,
    change: {
      readonly state?: RevocationJob["state"];
      /** Totals, where one walk meets all that the job covers; smaller ones than before are not heard. */
      readonly matched?: number;
      readonly ended?: number;
      /** What a page of the clean-up closed, and what of it waits for a target. Several walks may go on: each lease counts once. */
      readonly page?: { readonly closed: readonly LeaseId[]; readonly waiting: readonly LeaseId[] };
      readonly inForceAt?: number;
      readonly endings?: readonly LeaseEnding[];
    },
  ): Promise<{ readonly matched: number; readonly ended: number }>;
  /** An instant not before anything that was opened in these buckets so far: what a mark on all of them is to hold. One pipeline. */
  instant(buckets: readonly number[]): Promise<number>;
  /** Writes the mark into one bucket; answers the instant it holds there: `at`, or a later one that stands already. May be repeated. */
  mark(bucket: number, scope: MarkScope, at: number, audit: AuditFacts): Promise<number>;
  /**
   * Ends leases of a bucket that the mark covers, about `limit` of them. Page by page it brings all; one that waits for its target may
   * be in several pages.
   */
  endMarked(
    bucket: number,
    scope: MarkScope,
    at: number,
    audit: AuditFacts,
    limit: number,
    cursor: string | undefined,
  ): Promise<{ readonly endings: readonly LeaseEnding[]; readonly revoking: readonly LeaseId[]; readonly nextCursor: string | undefined }>;
  /** The live leases that a scope covers now, for dry runs, page by page; one may be in several. */
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
