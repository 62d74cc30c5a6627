import type { AuditFacts } from "../domain/audit-event.ts";
import type { LeaseId, RevocationId, TaskId } from "../domain/ids.ts";

/** What one instance of a verifier was last heard to have applied. Milliseconds of the store's time. */
export interface SeenInstance {
  readonly instance: string;
  /** When it was last heard of, or fed. */
  readonly at: number;
  readonly maxStalenessMs: number;
  /** As it said it; undefined when it only was heard of. */
  readonly position: string | undefined;
  /** When it first said so. */
  readonly ackedAt: number;
}

/** What verifiers have applied, for every broker to answer from. At most 1,000 instances a verifier, forgotten after eight days. */
export interface SeenStore {
  /** Answers the instances that were refused because there are too many. */
  note(verifier: string, notes: readonly Omit<SeenInstance, "ackedAt">[]): Promise<readonly string[]>;
  read(verifiers: readonly string[]): Promise<ReadonlyMap<string, readonly SeenInstance[]>>;
  /** Writes down when leases of a task or a revocation were dead everywhere, for all later receipts. What was known before stays. */
  noteDead(of: TaskId | RevocationId, deadBy: ReadonlyMap<LeaseId, number>): Promise<void>;
}

/** A token that a verifier met. */
export interface UseNote {
  readonly lease: LeaseId;
  /** Milliseconds by the verifier's clock; never taken for later than now. */
  readonly at: number;
  /** Honoured; refused because the lease had ended; or refused for another reason. */
  readonly how: "accepted" | "ended" | "refused";
  readonly count: number;
  readonly source: string | undefined;
  readonly route: string | undefined;
}

/** What is known of a lease's use, by those who told of it. */
export interface LeaseUse {
  readonly lastUsedAt: number | undefined;
  /** The last attempt to use it after its end, and how many were told of. */
  readonly afterEnd: { readonly at: number; readonly count: number } | undefined;
}

/** Reports of use, kept with the lease as long as it can be read. */
export interface UseStore {
  /**
   * Notes uses of leases of the grants that the reporter may speak of; the rest is passed over. A use after the end is recorded with
   * `audit`, once and then at most each minute for a lease; those that were are answered.
   */
  note(
    notes: readonly UseNote[],
    mayTell: (grant: string) => boolean,
    audit: AuditFacts,
  ): Promise<readonly { readonly lease: LeaseId; readonly uses: number }[]>;
  /** Of these leases, those of which anything was told. */
  of(leases: readonly LeaseId[]): Promise<ReadonlyMap<LeaseId, LeaseUse>>;
}

/** Which grants issued for which audiences in the last 26 hours. */
export interface AudienceStore {
  remember(pairs: Iterable<readonly [grant: string, audience: string]>): Promise<void>;
  remembered(): Promise<ReadonlyMap<string, ReadonlySet<string>>>;
}
