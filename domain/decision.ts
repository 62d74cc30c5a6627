import type { ErrorCode } from "./errors.ts";
import type { Claims } from "./principal.ts";

/** What a decision knows. All of it is data: `decide` touches no clock, network or store. */
export interface DecisionInput {
  readonly principal: { readonly trust: string; readonly subject: string; readonly workload: string; readonly claims: Claims };
  readonly request: {
    readonly grant: string;
    readonly purpose: string;
    readonly scope: readonly string[];
    /** Milliseconds asked for, if any. */
    readonly ttlMs: number | undefined;
    readonly resource: string;
    readonly environment: string;
  };
  readonly task: { readonly id: string; readonly parent: string };
  /** Milliseconds. */
  readonly now: number;
  readonly network: { readonly ip: string };
  readonly posture: Readonly<Record<string, unknown>>;
  readonly risk: number;
}

/** One condition as it was tried: what was wanted, what was there, whether it held. */
export interface ConditionTrace {
  readonly condition: string;
  readonly held: boolean;
  readonly wanted: string;
  /** The caller's own value, as JSON; undefined when it was absent. */
  readonly got: unknown;
  readonly anchor: boolean;
  readonly note?: string;
}

export interface RuleTrace {
  /** `deploy-prod.allow[0]` */
  readonly rule: string;
  readonly effect: "allow" | "deny";
  readonly file: string;
  readonly line: number;
  readonly matched: boolean;
  /** False when the rule is for another trust; then it has no conditions. */
  readonly applies: boolean;
  readonly conditions: readonly ConditionTrace[];
}

/** The whole reasoning: for each rule of the grant, which conditions held. Operators only. */
export interface DecisionTrace {
  readonly grant: string;
  readonly grantExists: boolean;
  readonly candidate: boolean;
  readonly policy: string;
  readonly rules: readonly RuleTrace[];
  /** The rule that came closest, and the fewest changes to the claims or the request that would satisfy it. */
  readonly nearest?: { readonly rule: string; readonly held: number; readonly of: number; readonly change: readonly string[] };
}

/** What a refused caller may know. */
export interface DenialView {
  readonly code: ErrorCode;
  readonly message: string;
  readonly failedClaims?: readonly string[];
  readonly yours?: Readonly<Record<string, unknown>>;
  readonly hint?: string;
}
