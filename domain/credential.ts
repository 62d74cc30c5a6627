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
  /** What the asker said beside the grant (`options`), already parsed by the issuer's `options`; empty where it takes none. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** Something that opens a door. On the wire its members stand side by side: `{type, <member>: token, ...secrets, ...facts}`. */
export interface Credential {
  /** `jwt`, `postgres`, `ssh_certificate`, ...: which other members there are. */
  readonly type: string;
  /** The secret itself: a token, a password, a certificate. Whoever finds it can name its lease by its SHA-256. */
  readonly token: Secret;
  /** Name of that member: `token` unless said. */
  readonly member?: string;
  /** Further secrets, a private key for example, by member. */
  readonly secrets?: Readonly<Record<string, Secret>>;
  /** What may be seen by anybody: host, user name, serial; by member. */
  readonly facts?: Readonly<Record<string, JsonValue>>;
  /** What kind of token it is at the token endpoint (RFC 8693 section 3); absent: an access token. */
  readonly tokenType?: TokenType;
}

/** `jwt`: a token that says who somebody is, and is of no use in an `Authorization` header. */
export type TokenType = "access_token" | "jwt";

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | { readonly [name: string]: JsonValue };

/** What the workload receives, once. */
export interface Issued {
  readonly credential: Credential;
  /** What the issuer needs to revoke it later; sealed before it is stored. */
  readonly handle?: Secret;
  /** The key it is bound to: without a proof of that key it opens nothing. */
  readonly boundTo?: HolderKey | undefined;
}

export interface RevokeOrder {
  readonly leaseId: LeaseId;
  readonly handle: Secret | undefined;
  /** The latest end that the lease was ever given. */
  readonly expiresAt: number;
}

/** Makes and ends one kind of credential at one place. Two required verbs; what is absent is a capability it does not have. */
export interface Issuer<P = unknown> {
  /** `jwt`, `postgres`, ... Leases name the place instead: `jwt`, or the Target's name. */
  readonly kind: string;
  /** Where what it makes is: an address. Under the same name, another address is another place. Absent: in our own store. */
  readonly place?: string;
  /** True when `revoke` says `revoked` only of what it found there, so that its word proves that the place is the right one. */
  readonly knowsWhatItEnds?: boolean;
  readonly params: z.ZodType<P>;
  /** What the asker may say beside the grant (a public key, a CSR); absent: nothing. */
  readonly options?: z.ZodType<Readonly<Record<string, unknown>>>;
  /** What stands against these options under a grant's settings, in words for the asker; undefined: nothing. Nothing is recorded yet. */
  refuses?(params: P, options: Readonly<Record<string, unknown>>): string | undefined;
  readonly maxTtlMs: number;
  readonly revocation: RevocationClass;
  /** With `verifier_checked` by a published list: those who check read it at least this often. */
  readonly checkedWithinMs?: number | undefined;
  /** True when issuing only computes (a signature): opened active by one script, nothing to undo outside. */
  readonly computesOnly: boolean;
  /** False when what it makes is no bearer token: the token endpoint then points to the task's own. Absent: it is. */
  readonly bearer?: boolean;
  /** What kind of token it would be for these settings. Absent: an access token. */
  tokenType?(params: P): TokenType;
  /** What the lease's thing is called at the target; written down while the lease is pending. */
  externalName?(lease: LeaseId): string;
  /** Makes the credential. Names and serials at the target derive from the lease id. */
  issue(order: IssueOrder<P>, signal: AbortSignal): Promise<Issued>;
  /** Id of the key that would sign for these settings now; present where credentials are signed, so that marks on a key find them. */
  keyId?(params: P): string | undefined;
  /**
   * Ends it. May be called twice; already gone is success (`already_gone`). Must be final: a late `issue` of this lease makes nothing.
   * Throws `DiesByItself` where only time can end it.
   */
  revoke(order: RevokeOrder, signal: AbortSignal): Promise<"revoked" | "already_gone">;
  /** Lengthens it at the target to `expiresAt`. Undefined: the credential keeps its value. Absent: it cannot be renewed. */
  renew?(order: IssueOrder<P>, signal: AbortSignal): Promise<Issued | undefined>;
  /** Lease ids of everything of ours at the target, for reconciling; never of anything that somebody else made. */
  list?(signal: AbortSignal): AsyncIterable<LeaseId>;
  /** What it publishes for those who check (`ca.pub`, `krl`, `crl`), by name: GET /targets/{target}/{name}. */
  readonly documents?: Readonly<Record<string, PublishedDocument>>;
  /** Changes the broker's own password at the target, so that no copy of the old one opens it. Safe at any crash. */
  rotate?(signal: AbortSignal): Promise<void>;
  /** What is known of the target and of the broker's own access to it. Throws as `issue` would when it cannot be reached. */
  examine?(signal: AbortSignal): Promise<TargetFacts>;
  /** Lets go of connections. */
  close?(): Promise<void>;
}

/** What anybody may fetch, without proof of who they are: it holds no secret. */
export interface PublishedDocument {
  readonly contentType: string;
  /** How long a copy may be kept, in seconds. */
  readonly maxAge: number;
  read(): Promise<Uint8Array>;
}

/** Facts for policy, `doctor` and people. Milliseconds since 1970. */
export interface TargetFacts {
  /** `PostgreSQL 15.18`. */
  readonly server?: string;
  /** When the broker's own password there was last changed by us; undefined: never. */
  readonly passwordChangedAt?: number | undefined;
  /** Quota left, where the target counts calls. */
  readonly quota?: { readonly left: number; readonly of: number; readonly resetsAt: number };
  /** What a person should mend: rights that are missing, or that are more than needed. */
  readonly warnings: readonly string[];
}

/** The target may answer later: try again. */
export class RetryableFailure extends Error {
  override readonly name: string = "RetryableFailure";
  /** How long the target asked to be left alone, in milliseconds from now; undefined where it did not. */
  readonly retryAfterMs: number | undefined;
  /** The target answered: something is in the way of this one credential, and says nothing of others there. */
  readonly aboutOne: boolean;
  constructor(message?: string, options: ErrorOptions & { readonly retryAfterMs?: number | undefined; readonly aboutOne?: boolean } = {}) {
    super(message, options);
    this.retryAfterMs = options.retryAfterMs;
    this.aboutOne = options.aboutOne ?? false;
  }
}

/**
 * Nobody can end it any more, and nobody need: whatever is left of it is surely dead from `deadAt` (milliseconds) on, and `revoke` will
 * then say `already_gone`. The target did not fail; the lease is not called revoked before.
 */
export class DiesByItself extends RetryableFailure {
  override readonly name: string = "DiesByItself";
  readonly deadAt: number;
  constructor(message: string, deadAt: number, options: ErrorOptions = {}) {
    super(message, options);
    this.deadAt = deadAt;
  }
}

/** Trying again will not help until a person acts; the lease becomes stuck (and is still tried, slowly). */
export class PermanentFailure extends Error {
  override readonly name: string = "PermanentFailure";
}
