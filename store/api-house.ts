/** What is remembered beside leases and tasks: refusals, the audit stream, time, holds, and what verifiers must hear. */
import type { AuditFacts, AuditRecord } from "../domain/audit-event.ts";
import type { DenialId, LeaseId } from "../domain/ids.ts";
import type { ProofUse } from "../domain/possession.ts";
import type { EvidenceUse } from "../domain/principal.ts";
import type { DenialRecord } from "./api-leases.ts";
import type { MarkScope } from "./api-revocations.ts";

export interface DenialStore {
  /**
   * A refusal that the decision made: its record and its audit record, one script. `spent`: twenty refusals or a use have spent the
   * evidence, so the caller is told `evidence_spent` and nothing more. `other_key`: it is bound to a key that was not proven.
   */
  record(
    denial: DenialRecord,
    audit: AuditFacts,
    retentionMs: number,
    evidence: EvidenceUse | undefined,
  ): Promise<"recorded" | "spent" | "other_key">;
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

/** A record that was read and not taken apart: thousands can lie in memory for a while at little cost. */
export interface WaitingRecord {
  /** Milliseconds. */
  readonly at: number;
  record(): AuditRecord;
}

export interface AuditStream {
  /** Appends a record that belongs to no other script. */
  append(bucket: number, facts: AuditFacts): Promise<void>;
  /** Records of a bucket after a sequence, in order. */
  read(bucket: number, afterSeq: number, limit: number): Promise<readonly AuditRecord[]>;
  /** The same for whoever holds many of them. */
  waiting(bucket: number, afterSeq: number, limit: number): Promise<readonly WaitingRecord[]>;
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
  /** How far the broker's clock is from Redis's, milliseconds; undefined when Redis has not told the time lately. */
  offsetMs(): number | undefined;
}

/** What the store found out about its Redis. */
export interface StoreFacts {
  readonly version: string;
  readonly mode: "single" | "sentinel" | "cluster";
  readonly aof: boolean;
  /** Without an append-only file nothing is issued. */
  readonly aofRequired: boolean;
  readonly fsync: string;
  /** Anything but `noeviction` is refused at start and stops issuing at run time. */
  readonly evictionPolicy: string;
  /** So many replicas must have a lease or a revocation before anybody is told of it; 0: this Redis has none. */
  readonly replicas: number;
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

/** Entries of one bucket, the position behind the last of them, and whether some before them are missing. */
export interface FeedPage {
  readonly entries: readonly FeedEntry[];
  readonly position: number;
  readonly gap: boolean;
  /** What stands at the position itself, where it is still kept: after a failover it may be another entry than was read there. */
  readonly at?: FeedEntry | undefined;
  /** The bucket has not come as far as the position. */
  readonly wentBack?: boolean;
}

/** What has been revoked and is not yet over, bucket by bucket. A position is the number of a bucket's last entry read. */
export interface FeedStore {
  /** Entries after a position, in order. `gap`: some were forgotten, or the store has gone back; take a snapshot. */
  read(bucket: number, after: number, limit: number): Promise<FeedPage>;
  /** The same of several buckets, each after a position of its own; one pipeline. */
  readMany(after: ReadonlyMap<number, number>, limit: number): Promise<ReadonlyMap<number, FeedPage>>;
  /** Leaves a hole behind what was told of a bucket and then taken back: everybody who has read that far finds a gap. */
  skip(bucket: number, told: number): Promise<void>;
  /** Position of every bucket now; one pipeline. */
  positions(): Promise<readonly number[]>;
  /** Everything that holds in a bucket: marks, then leases a page at a time. What ends meanwhile comes after `position`. */
  snapshot(
    bucket: number,
    cursor: string | undefined,
    limit: number,
  ): Promise<{ readonly entries: readonly FeedEntry[]; readonly position: number; readonly nextCursor: string | undefined }>;
  /** Calls back as soon as something was added to a bucket; hints may be lost. Returns how to stop. */
  hints(listener: (hint: FeedHint) => void): Promise<() => Promise<void>>;
}

/** That a bucket has something new; and what, where one entry came alone: good only right after the entry before it. */
export interface FeedHint {
  readonly bucket: number;
  readonly next?: { readonly number: number; readonly entry: FeedEntry };
}

export interface ProofStore {
  /** Remembers a proof of possession; false when it was spent before. One trip; asking again after a lost reply is no second use. */
  spend(bucket: number, proof: ProofUse): Promise<boolean>;
}

/** What a bucket knows of one status list. */
export interface BucketStatuses {
  /** Places given out: numbers below it belong to tokens. */
  readonly given: number;
  /** All places are over: the store has gone back since, and what it then forgot cannot be told from what it gave out. */
  readonly over: boolean;
  /** Places below this are over by a mark on everything. */
  readonly overBelow: number;
  /** Bit of each place that is over, the first place in the highest bit of the first byte; shorter where the rest are not. */
  readonly bits: Uint8Array;
}

/** Status lists as scripts keep them: one per hour and generation (`hour.generation`), counted in each bucket by itself. */
export interface StatusStore {
  /** The same for every broker of the store: hides the order in which places were given out. Made at first use. */
  secret(): Promise<Uint8Array>;
  /** How many places of each list the fullest bucket has given out; one pipeline. */
  lists(): Promise<ReadonlyMap<string, number>>;
  /** One list, bucket by bucket; one pipeline. */
  read(list: string): Promise<readonly BucketStatuses[]>;
}
