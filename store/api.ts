/**
 * What the store promises, in the broker's words. Every method that changes something is one Lua script, which also writes its
 * audit record; none reads and then writes. Times are milliseconds. A store that cannot be reached throws
 * `StintError('store_unavailable')` within two seconds.
 */
import type { AnswerStore } from "./api-answers.ts";
import type { AuditStream, DenialStore, FeedStore, HoldStore, ProofStore, StatusStore, StoreClock, StoreFacts } from "./api-house.ts";
import type { LeaseStore } from "./api-leases.ts";
import type { RevocationStore } from "./api-revocations.ts";
import type { TargetStore } from "./api-targets.ts";
import type { TaskStore } from "./api-tasks.ts";
import type { AudienceStore, SeenStore, UseStore } from "./api-verifiers.ts";

export type * from "./api-answers.ts";
export type * from "./api-leases.ts";
export type * from "./api-tasks.ts";
export type * from "./api-revocations.ts";
export type * from "./api-house.ts";
export type * from "./api-verifiers.ts";
export type * from "./api-targets.ts";

/** Everything the broker remembers. */
export interface Store {
  /** Made at first start, kept in Redis: tells this store from another. */
  readonly id: string;
  readonly firstStart: boolean;
  readonly clock: StoreClock;
  readonly leases: LeaseStore;
  readonly tasks: TaskStore;
  readonly revocations: RevocationStore;
  readonly answers: AnswerStore;
  readonly denials: DenialStore;
  readonly audit: AuditStream;
  readonly hold: HoldStore;
  readonly feed: FeedStore;
  readonly seen: SeenStore;
  readonly proofs: ProofStore;
  readonly statuses: StatusStore;
  readonly uses: UseStore;
  readonly audiences: AudienceStore;
  readonly targets: TargetStore;
  /** Last facts found; looked at again twice a minute. */
  facts(): StoreFacts;
  /** Writes and reads back; for readiness. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
