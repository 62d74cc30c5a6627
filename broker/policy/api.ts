import type { DecisionTrace } from "../../domain/decision.ts";
import type { ErrorCode, Problem } from "../../domain/errors.ts";
import type { DenialId, TaskId } from "../../domain/ids.ts";
import type { LimitedBy } from "../../domain/lease.ts";
import type { Claims } from "../../domain/principal.ts";
import type { Secret } from "../../domain/secret.ts";
import type { DenialRecord } from "../../store/api.ts";
import type { GrantRequest, Operator, Origin } from "../callers.ts";

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
