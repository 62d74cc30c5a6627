/**
 * What the broker can do, in its own words: the interfaces that HTTP handlers call. Types only. Times and spans are
 * milliseconds; secrets travel as `Secret`; every refusal is a thrown `StintError`. Nothing here knows HTTP.
 */
import type { AuditRecord } from "../domain/audit-event.ts";
import type { Credential } from "../domain/credential.ts";
import type { DecisionTrace } from "../domain/decision.ts";
import type { ErrorCode, Problem } from "../domain/errors.ts";
import type { DenialId, LeaseId, RevocationId, TaskId } from "../domain/ids.ts";
import type { EndedBy, Lease, LeaseOutcome, LimitedBy, RevocationClass } from "../domain/lease.ts";
import type { HolderKey } from "../domain/possession.ts";
import type { Claims } from "../domain/principal.ts";
import type { Secret } from "../domain/secret.ts";
import type { Task, TaskOutcome } from "../domain/task.ts";
import type { DenialRecord, Idempotency, LeaseFilter, Lock, LockScope, Page, RevocationJob } from "../store/api.ts";
import type { Possession } from "./dpop/possession.ts";
import type { ProofService } from "./dpop/service.ts";
import type { FeedService } from "./feed/api.ts";
import type { ActionService } from "./authorize/api.ts";
import type { Verifier } from "./policy/policy.ts";
import type { StatusLists } from "./status-list/service.ts";
import type { TargetService } from "./targets/api.ts";
import type { AskedTokenType, IntrospectionService, TokenService } from "./tokens/api.ts";

/** Where a request came from; every method that may refuse or record takes one. */
export interface Origin {
  readonly ip: string;
  readonly traceId: string;
  /** As the audit and denials name it, for example `POST /oauth2/token`. */
  readonly route: string;
  readonly possession?: Possession;
}

/** What a caller sent with `Idempotency-Key`: the key as sent and the SHA-256 (hex) of the request's body. */
export interface IdempotencyHint {
  readonly key: string;
  readonly bodySha256: string;
}
export type { Idempotency };

// ---------------------------------------------------------------------------------------------------------------- callers

export const ROLES = ["viewer", "approver", "responder", "admin"] as const;
export type Role = (typeof ROLES)[number];

/** A person or a tool that holds an operator token. */
export interface Operator {
  readonly name: string;
  readonly role: Role;
}

/** Who may see or end a thing: whoever holds its task token or credential, or an operator. */
export type Caller = { readonly kind: "bearer"; readonly token: Secret } | { readonly kind: "operator"; readonly operator: Operator };

export interface OperatorService {
  /** The operator whose token this is (constant-time); undefined for anything else. */
  authenticate(token: Secret): Operator | undefined;
  /** Whether the role reaches: viewer < approver < responder < admin. Throws `insufficient_role`, and records it. */
  require(operator: Operator, role: Role, origin: Origin): void;
}

export interface VerifierService {
  /** The verifier that this name and key belong to (constant-time); without a name, whichever holds the key. */
  authenticate(name: string | undefined, key: Secret): Verifier | undefined;
  /** The verifier of this name, for those whom their address has let in. */
  named(name: string): Verifier | undefined;
}

// ---------------------------------------------------------------------------------------------------------------- requests

export interface GrantRequest {
  /** Undefined: found by audience. */
  readonly grant: string | undefined;
  readonly scope: readonly string[];
  readonly ttlMs: number | undefined;
  readonly purpose: string;
  readonly environment: string;
  readonly resource: string;
  /** What the issuer takes beside: a public key, a CSR. */
  readonly options?: Readonly<Record<string, unknown>> | undefined;
}

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

// ---------------------------------------------------------------------------------------------------------------- tasks

export interface OpenTaskRequest {
  readonly evidence: Secret;
  readonly purpose: string | undefined;
  readonly ttlMs: number | undefined;
  readonly heartbeatMs: number | undefined;
  readonly parent: string | undefined;
  readonly bind?: "certificate" | undefined;
  readonly idempotency: IdempotencyHint | undefined;
  readonly origin: Origin;
}

export interface TaskCredentialRequest extends GrantRequest {
  readonly grant: string;
  readonly taskId: string;
  readonly taskToken: Secret;
  readonly idempotency: IdempotencyHint | undefined;
  readonly origin: Origin;
}

/** What became of everything that a task or a revocation ended. */
export interface Receipt {
  readonly task: TaskId | undefined;
  readonly revocation: RevocationId | undefined;
  readonly endedBy: EndedBy | undefined;
  /** Nothing is left for the broker to do: every lease is gone, or will be by a time that is known. */
  readonly settled: boolean;
  readonly leases: readonly ReceiptLease[];
  /** The latest instant at which anything of it may still be honoured; undefined when there was nothing or it is not known. */
  readonly deadBy: number | undefined;
  /** Leases beyond those listed (a revocation lists 1,000). */
  readonly more: number;
}

export interface ReceiptLease {
  readonly leaseId: LeaseId;
  readonly issuer: string;
  readonly outcome: LeaseOutcome;
  readonly revocation: RevocationClass;
  /** Undefined while a target has not confirmed. */
  readonly deadBy: number | undefined;
  readonly tookMs: number | undefined;
  readonly reason: string | undefined;
}

export interface TaskService {
  open(request: OpenTaskRequest): Promise<{ readonly task: Task; readonly taskToken: Secret; readonly joined: boolean }>;
  /** Throws `not_found` alike for foreign and unknown ids. The receipt is there once the task has ended. */
  get(id: string, caller: Caller, origin: Origin): Promise<{ readonly task: Task; readonly receipt: Receipt | undefined }>;
  list(
    filter: { readonly workload?: string | undefined; readonly state?: string | undefined },
    cursor: string | undefined,
    limit: number,
  ): Promise<Page<Task>>;
  /** A credential under the task; policy is evaluated anew. */
  credential(request: TaskCredentialRequest): Promise<IssuedCredential>;
  /** Throws `task_ended` when there is nothing left to keep alive. */
  heartbeat(id: string, taskToken: Secret, origin: Origin): Promise<Task>;
  /** Ends the task and its children; waits at most 2 s for what can be revoked now. Twice: the same receipt as it now stands. */
  complete(request: {
    readonly taskId: string;
    readonly taskToken: Secret;
    readonly outcome: TaskOutcome;
    readonly by: "complete" | "exit";
    readonly origin: Origin;
  }): Promise<Receipt>;
}

// ---------------------------------------------------------------------------------------------------------------- leases

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

// ---------------------------------------------------------------------------------------------------------------- tokens

export type { Introspection, IntrospectionService, TokenService } from "./tokens/api.ts";

// ---------------------------------------------------------------------------------------------------------------- revocations

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

// ---------------------------------------------------------------------------------------------------------------- the house

/** Why nothing is issued, and what waits for a person (CORE, Restores). */
export interface HoldView {
  readonly held: boolean;
  readonly since: number | undefined;
  readonly reason: string | undefined;
  /** Revocations at targets that wait while the hold stands. */
  readonly waiting: readonly Lease[];
  /** Set while a high-water mark of the clock lies more than 60 s ahead. */
  readonly clockAheadMs: number | undefined;
}

export interface HoldService {
  show(): Promise<HoldView>;
  clear(operator: Operator, reason: string, origin: Origin): Promise<HoldView>;
}

/** A signing key as operators see it: never the private part. */
export interface KeyView {
  readonly kid: string;
  readonly alg: string;
  readonly state: "announced" | "active" | "retired" | "destroyed" | "withdrawn";
  readonly createdAt: number;
  readonly activeAt: number | undefined;
  readonly retiredAt: number | undefined;
  readonly destroyAt: number | undefined;
}

export interface KeyService {
  list(): Promise<readonly KeyView[]>;
  /** Announces a successor of this algorithm. It signs once every verifier had time to learn of it (`known`), or as soon as all brokers have it (`now`). */
  rotate(request: {
    readonly alg: string | undefined;
    readonly when: "known" | "now";
    readonly reason: string | undefined;
    readonly operator: Operator;
    readonly origin: Origin;
  }): Promise<readonly KeyView[]>;
  /** Seals private keys and handles anew under the first master key. */
  reseal(operator: Operator, origin: Origin): Promise<{ readonly resealed: number }>;
  /** A compromised key: out of the JWKS at once, every lease it signed is marked. */
  withdraw(
    kid: string,
    operator: Operator,
    reason: string,
    origin: Origin,
  ): Promise<{ readonly keys: readonly KeyView[]; readonly revocation: Revocation | undefined }>;
  /** Public keys, as `/.well-known/jwks.json` serves them. */
  jwks(): Promise<{ readonly keys: readonly Readonly<Record<string, unknown>>[] }>;
}

/** What a caller may know about one of its own requests before making it. */
export interface CheckAnswer {
  readonly allowed: boolean;
  readonly grant: string;
  readonly code: ErrorCode | undefined;
  readonly message: string | undefined;
  readonly failedClaims: readonly string[] | undefined;
  readonly hint: string | undefined;
  readonly scope: readonly string[] | undefined;
  readonly ttlMs: number | undefined;
  readonly limitedBy: LimitedBy | undefined;
}

export type Whoami =
  | { readonly kind: "operator"; readonly operator: Operator }
  | {
      readonly kind: "workload";
      readonly trust: string;
      readonly subject: string;
      readonly workload: string;
      readonly task: TaskId | undefined;
      readonly taskValue: string | undefined;
      readonly claims: Claims;
      readonly evidenceExpiresAt: number;
      /** Names of grants that would be given now. */
      readonly grants: readonly string[];
    };

/** An identity and a request, as an operator supposes them. */
export interface SupposedRequest extends GrantRequest {
  readonly grant: string;
  readonly trust: string;
  readonly claims: Claims;
  readonly ip: string;
}

export interface Explanation {
  readonly allowed: boolean;
  readonly code: ErrorCode | undefined;
  readonly trace: DecisionTrace;
  /** The denial that is explained, and what the policy in force says of it today. */
  readonly denial: DenialRecord | undefined;
  readonly today: { readonly allowed: boolean; readonly code: ErrorCode | undefined; readonly trace: DecisionTrace } | undefined;
}

export interface Simulation {
  readonly version: string;
  readonly problems: readonly Problem[];
  readonly cases: number;
  readonly differences: readonly {
    readonly grant: string;
    readonly workload: string;
    readonly denial: DenialId | undefined;
    readonly before: string;
    readonly after: string;
  }[];
  /** Live leases that the new policy would no longer grant cannot be told without their claims; this counts those of grants that vanish. */
  readonly leasesOfVanishedGrants: number;
}

export interface PolicyService {
  /** Spends nothing and records nothing but a refusal to attest. */
  whoami(token: Secret, origin: Origin): Promise<Whoami>;
  /** For the bearer's own evidence or task token. */
  check(token: Secret, request: GrantRequest & { readonly grant: string }, origin: Origin): Promise<CheckAnswer>;
  explain(what: { readonly denial: string } | { readonly supposed: SupposedRequest }): Promise<Explanation>;
  /** Documents (file name and text) against stored denials and supposed requests. */
  simulate(request: {
    readonly documents: readonly { readonly file: string; readonly text: string }[];
    readonly denials: readonly string[];
    readonly supposed: readonly SupposedRequest[];
  }): Promise<Simulation>;
}

export interface AuditQuery {
  readonly action?: string | undefined;
  readonly workload?: string | undefined;
  readonly subject?: string | undefined;
  readonly principal?: string | undefined;
  readonly grant?: string | undefined;
  readonly task?: string | undefined;
  readonly lease?: string | undefined;
  readonly decision?: string | undefined;
  readonly code?: string | undefined;
  readonly denial?: string | undefined;
  readonly traceId?: string | undefined;
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

export interface AuditService {
  /** Exported records, newest first. */
  query(filter: AuditQuery, cursor: string | undefined, limit: number): Promise<Page<AuditRecord>>;
}

export interface DenialService {
  /** Throws `not_found`. */
  get(id: string): Promise<DenialRecord>;
}

export interface ReadinessCheck {
  readonly name: "redis" | "aof" | "eviction" | "signing_key" | "policy" | "audit" | "clock" | "hold" | "draining";
  /** `warn` is worth a person's look but does not take the broker out of service. */
  readonly status: "ok" | "warn" | "fail";
  readonly detail: string;
}

export interface Readiness {
  readonly ready: boolean;
  readonly checks: readonly ReadinessCheck[];
}

/** One thing that happened, as `GET /v1/events` shows it: an audit record's facts without claims. */
export interface BrokerEvent {
  /** Rises by one per broker; a gap after reconnecting means events were missed. */
  readonly id: string;
  readonly at: number;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface EventService {
  /** Events from here on (after `lastId` where it is still held). Returns how to stop. A slow listener is dropped, not waited for. */
  subscribe(listener: (event: BrokerEvent) => void, lastId?: string): () => void;
}

/** Everything the handlers may call. `compose.ts` builds it. */
export interface Services {
  /** `STINT_URL`. */
  readonly url: string;
  readonly requests: RequestService;
  readonly tasks: TaskService;
  readonly leases: LeaseService;
  readonly introspection: IntrospectionService;
  readonly tokens: TokenService;
  readonly actions: ActionService;
  readonly revocations: RevocationService;
  readonly locks: LockService;
  readonly hold: HoldService;
  readonly keys: KeyService;
  readonly policy: PolicyService;
  readonly audit: AuditService;
  readonly denials: DenialService;
  readonly events: EventService;
  readonly feed: FeedService;
  readonly operators: OperatorService;
  readonly verifiers: VerifierService;
  readonly proofs: ProofService;
  readonly statusLists: Pick<StatusLists, "token" | "uris">;
  readonly targets: TargetService;
  /** Cheap: answers from what the background duties last saw. */
  readiness(): Readiness;
}
