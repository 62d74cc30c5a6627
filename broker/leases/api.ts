import type { Credential } from "../../domain/credential.ts";
import type { Lease, LimitedBy, RevocationClass } from "../../domain/lease.ts";
import type { HolderKey } from "../../domain/possession.ts";
import type { Secret } from "../../domain/secret.ts";
import type { Task } from "../../domain/task.ts";
import type { LeaseFilter, Page } from "../../store/api.ts";
import type { Caller, GrantRequest, IdempotencyHint, Operator, Origin } from "../callers.ts";
import type { ReceiptLease } from "../tasks/api.ts";
import type { AskedTokenType } from "../tokens/api.ts";

export interface ExchangeRequest extends GrantRequest, AskedTokenType {
  readonly evidence: Secret;
  /** Asked `audience` and `resource` values; every one must be the grant's audience. */
  readonly audiences: readonly string[];
  readonly bind?: "certificate" | undefined;
  readonly idempotency: IdempotencyHint | undefined;
  readonly origin: Origin;
}

/** A credential and all that its holder must know about it. */
export interface IssuedCredential {
  readonly lease: Lease;
  readonly task: Task;
  readonly grant: string;
  readonly issuer: string;
  readonly credential: Credential;
  /** The key without whose proof the credential opens nothing. */
  readonly boundTo?: HolderKey | undefined;
  /** As granted. */
  readonly scope: readonly string[];
  readonly expiresAt: number;
  readonly limitedBy: LimitedBy;
  readonly revocation: RevocationClass;
  /** The latest instant at which anybody may still honour it. */
  readonly deadBy: number;
  /** True when an idempotency key brought back an earlier lease. */
  readonly replayed: boolean;
}

/** A renewal: where the target only lengthened what it had, the value is the one its holder has already. */
export type RenewedCredential = Omit<IssuedCredential, "credential"> & {
  readonly credential: Credential | { readonly type: string; readonly token?: undefined };
};

export interface RequestService {
  /** Evidence for a credential (RFC 8693). Joins or opens the task that the evidence belongs to. */
  exchange(request: ExchangeRequest): Promise<IssuedCredential & { readonly taskToken: Secret }>;
}

export interface LeaseService {
  /** Task token, the credential itself, or an operator. Throws `not_found` alike for foreign and unknown ids. */
  get(id: string, caller: Caller, origin: Origin): Promise<Lease>;
  list(filter: LeaseFilter, cursor: string | undefined, limit: number): Promise<Page<Lease>>;
  /** Given back by its holder: task token, or the credential for its own lease. Twice is success. */
  release(id: string, token: Secret, origin: Origin): Promise<{ readonly lease: Lease; readonly receipt: ReceiptLease }>;
  /** Task token only; policy is evaluated again. Same lease, a new token. */
  renew(request: {
    readonly leaseId: string;
    readonly taskToken: Secret;
    readonly ttlMs: number | undefined;
    readonly idempotency?: IdempotencyHint | undefined;
    readonly origin: Origin;
  }): Promise<RenewedCredential>;
  /** One named admin gives up on a lease whose target cannot be reached: `forced`, listed for ever. */
  forceClose(id: string, operator: Operator, reason: string, origin: Origin): Promise<Lease>;
}
