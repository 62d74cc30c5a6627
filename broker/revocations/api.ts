import type { Lease, RevocationClass } from "../../domain/lease.ts";
import type { Secret } from "../../domain/secret.ts";
import type { Lock, LockScope, Page, RevocationJob } from "../../store/api.ts";
import type { IdempotencyHint, Operator, Origin } from "../callers.ts";
import type { Receipt } from "../tasks/api.ts";

/** Which leases a revocation covers; exactly one. `credential` is the token itself or `sha256:<hex>` of it. */
export type Selector =
  | { readonly kind: "lease" | "task" | "workload" | "grant" | "issuer" | "trust"; readonly name: string }
  | { readonly kind: "credential"; readonly name: Secret }
  | { readonly kind: "all" };

/** A job as its asker sees it: with the receipt instead of the endings it is made from. A credential is named by its SHA-256 only. */
export interface Revocation extends Omit<RevocationJob, "endings"> {
  readonly receipt: Receipt;
}

/** What a revocation would do. `leases` lists at most 100; `truncated` says that the walk stopped at its bound. */
export interface DryRun {
  readonly selector: Readonly<Record<string, unknown>>;
  readonly matched: number;
  readonly tasks: number;
  /** By issuer and class; `deadBy` is when the last of them would be dead, undefined where a target decides. */
  readonly byIssuer: readonly {
    readonly issuer: string;
    readonly leases: number;
    readonly revocation: RevocationClass;
    readonly deadBy: number | undefined;
  }[];
  readonly leases: readonly Lease[];
  readonly truncated: boolean;
}

export interface RevocationRequest {
  readonly selector: Selector;
  readonly reason: string;
  readonly lockMs: number | undefined;
  readonly operator: Operator;
  readonly idempotency?: IdempotencyHint | undefined;
  readonly origin: Origin;
}

export interface RevocationService {
  /** In force when it returns; else throws `revocation_pending` with its id after 2 s, and goes on. */
  start(request: RevocationRequest): Promise<Revocation>;
  dryRun(selector: Selector): Promise<DryRun>;
  get(id: string): Promise<Revocation>;
  list(cursor: string | undefined, limit: number): Promise<Page<Revocation>>;
}

export interface LockService {
  add(request: {
    readonly scope: LockScope;
    readonly ttlMs: number;
    readonly reason: string;
    readonly message: string | undefined;
    readonly operator: Operator;
    readonly idempotency?: IdempotencyHint | undefined;
    readonly origin: Origin;
  }): Promise<Lock>;
  list(): Promise<readonly Lock[]>;
  /** Throws `not_found`. */
  remove(id: string, operator: Operator, origin: Origin): Promise<Lock>;
}
