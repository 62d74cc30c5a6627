import type { z } from "zod";
import type { LeaseId, TaskId } from "./ids.ts";
import type { RevocationClass } from "./lease.ts";
import type { HolderKey } from "./possession.ts";
import type { Secret } from "./secret.ts";

/** The order for one credential, as the decision allowed it and the store recorded it. Times are milliseconds. */
export interface IssueOrder<P> {
  readonly leaseId: LeaseId;
  readonly taskId: TaskId;
  /** Token id: the lease id for the first token, another for each renewal. */
  readonly jti: string;
  readonly subject: string;
  readonly workload: string;
  readonly trust: string;
  readonly grant: string;
  readonly purpose: string | undefined;
  readonly scope: readonly string[];
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** The key to bind the credential to, where its kind can be bound. */
  readonly key?: HolderKey | undefined;
  /** Where its status can be read by whoever does not ask us (Token Status List). */
  readonly status?: { readonly idx: number; readonly uri: string } | undefined;
  /** The grant's `issue` settings of this issuer, already parsed by its `params`. */
  readonly params: P;
}

/** What the workload receives, once. */
export interface Issued {
  readonly credential: { readonly type: string; readonly token: Secret };
  /** What the issuer needs to revoke it later; sealed before it is stored. */
  readonly handle?: Secret;
  /** The key it is bound to: without a proof of that key it opens nothing. */
  readonly boundTo?: HolderKey | undefined;
}

export interface RevokeOrder {
  readonly leaseId: LeaseId;
  readonly handle: Secret | undefined;
}

/** One kind of credential. Two required verbs; what is absent is a capability the issuer does not have. */
export interface Issuer<P = unknown> {
  readonly kind: string;
  readonly params: z.ZodType<P>;
  readonly maxTtlMs: number;
  readonly revocation: RevocationClass;
  /** True when issuing only computes (a signature): opened active by one script, nothing to undo outside. */
  readonly computesOnly: boolean;
  /** Makes the credential. Names at the target derive from the lease id. */
  issue(order: IssueOrder<P>, signal: AbortSignal): Promise<Issued>;
  /** Id of the key that would sign for these settings now; present where credentials are signed, so that marks on a key find them. */
  keyId?(params: P): string | undefined;
  /** Ends it. May be called twice; already gone is success (`already_gone`). */
  revoke(order: RevokeOrder, signal: AbortSignal): Promise<"revoked" | "already_gone">;
  renew?(order: IssueOrder<P>, signal: AbortSignal): Promise<Issued | undefined>;
  /** Lease ids of everything of ours at the target, for reconciling. */
  list?(signal: AbortSignal): AsyncIterable<LeaseId>;
}

/** The target may answer later: try again. */
export class RetryableFailure extends Error {
  override readonly name: string = "RetryableFailure";
}

/** Trying again will not help until a person acts; the lease becomes stuck (and is still tried, slowly). */
export class PermanentFailure extends Error {
  override readonly name: string = "PermanentFailure";
}
