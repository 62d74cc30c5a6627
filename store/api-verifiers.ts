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
