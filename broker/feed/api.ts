import type { LeaseId } from "../../domain/ids.ts";
import type { LeaseUse, SeenInstance, UseNote } from "../../store/api.ts";
import type { Origin } from "../callers.ts";
import type { Verifier } from "../policy/policy.ts";
import type { Sink } from "./reader.ts";

/** One instance of a verifier that wants to hear what is revoked. */
export interface FeedOrder {
  readonly verifier: Verifier;
  readonly instance: string;
  readonly maxStalenessMs: number;
  /** Where to go on; undefined begins with a reset. */
  readonly from: string | undefined;
  /** Asked after each reload: false ends the stream. */
  readonly welcome: () => boolean;
}

/** A token that an instance met, as it told of it. */
export interface Use {
  readonly lease: LeaseId;
  /** Of the last of them, milliseconds by the verifier's clock. */
  readonly at: number;
  readonly outcome: UseNote["how"];
  readonly count: number;
  readonly source: string | undefined;
  readonly route: string | undefined;
}

/** An instance as operators see it. */
export interface InstanceStatus extends Omit<SeenInstance, "position" | "ackedAt"> {
  readonly ackedAt: number | undefined;
  /** It has applied everything that ended up to this instant. */
  readonly asOf: number | undefined;
  /** How old that is. */
  readonly behindMs: number | undefined;
  /** By its own limit it should be denying now. */
  readonly stale: boolean;
}

export interface VerifierStatus {
  readonly verifier: Verifier;
  readonly instances: readonly InstanceStatus[];
}

export interface FeedStats {
  readonly subscribers: number;
  /** How old the knowledge is that verifiers are given; undefined while nobody is connected. */
  readonly lagMs: number | undefined;
}

/** What verifiers are told, and what they tell. */
export interface FeedService {
  /** Admits a stream and answers how to begin it. Throws `too_many_requests` and `store_unavailable`. */
  open(order: FeedOrder): Promise<(sink: Sink) => void>;
  /** Everything revoked that concerns the verifier, line by line. Throws while it is read when the store fails: it then has no last line. */
  snapshot(verifier: Verifier): AsyncIterable<string>;
  /** Throws `too_many_requests` for one instance too many. */
  seen(verifier: Verifier, instance: string, position: string, maxStalenessMs: number): void;
  /** Notes what the instance met. Leases that are none of this verifier's are passed over without a word. */
  used(verifier: Verifier, instance: string, uses: readonly Use[], origin: Origin): Promise<void>;
  /** What was told of these leases. */
  usesOf(leases: readonly LeaseId[]): Promise<ReadonlyMap<LeaseId, LeaseUse>>;
  verifiers(): Promise<readonly VerifierStatus[]>;
  stats(): FeedStats;
}
