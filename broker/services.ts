/**
 * What the broker can do, in its own words: the interfaces that HTTP handlers call, each declared beside what keeps it. Types only.
 * Times and spans are milliseconds; secrets travel as `Secret`; every refusal is a thrown `StintError`. Nothing here knows HTTP.
 */
import type { AuditService } from "./audit/api.ts";
import type { ActionService } from "./authorize/api.ts";
import type { DenialService } from "./denials/service.ts";
import type { ProofService } from "./dpop/service.ts";
import type { EventService } from "./events.ts";
import type { FeedService } from "./feed/api.ts";
import type { HoldService } from "./hold.ts";
import type { KeyService } from "./keys.ts";
import type { LeaseService, RequestService } from "./leases/api.ts";
import type { OperatorService } from "./operators.ts";
import type { PolicyService } from "./policy/api.ts";
import type { Readiness } from "./readiness.ts";
import type { LockService, RevocationService } from "./revocations/api.ts";
import type { StatusLists } from "./status-list/service.ts";
import type { TargetService } from "./targets/api.ts";
import type { TaskService } from "./tasks/api.ts";
import type { IntrospectionService, TokenService } from "./tokens/api.ts";
import type { VerifierService } from "./verifiers.ts";

export * from "./callers.ts";
export type { OperatorService } from "./operators.ts";
export type { VerifierService } from "./verifiers.ts";
export type * from "./leases/api.ts";
export type * from "./tasks/api.ts";
export type * from "./revocations/api.ts";
export type { HoldView, HoldService } from "./hold.ts";
export type { KeyView, KeyService } from "./keys.ts";
export type * from "./policy/api.ts";
export type * from "./audit/api.ts";
export type { DenialService } from "./denials/service.ts";
export type { ReadinessCheck, Readiness } from "./readiness.ts";
export type { BrokerEvent, EventService } from "./events.ts";
export type { Introspection, IntrospectionService, TokenService } from "./tokens/api.ts";
export type { Idempotency } from "../store/api.ts";

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
