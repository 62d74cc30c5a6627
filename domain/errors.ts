/**
 * Every way Stint says no. A code is stable: callers branch on it, `/problems/{code}` explains it, and
 * `broker/http/error-response.ts` maps each to an answer (a new one does not compile until it is mapped).
 */
export const ERROR_CODES = [
  // the request itself
  "invalid_request",
  "unsupported_grant_type",
  "invalid_client",
  "not_found",
  "method_not_allowed",
  "not_acceptable",
  "not_implemented",
  "payload_too_large",
  "unsupported_media_type",
  "unauthenticated",
  "insufficient_role",
  // evidence (who is asking)
  "invalid_identity",
  "issuer_unknown",
  "audience_mismatch",
  "token_expired",
  "clock_skew",
  "evidence_spent",
  "identity_incomplete",
  // proofs of possession (what the caller holds)
  "invalid_dpop_proof",
  "use_dpop_nonce",
  "binding_mismatch",
  // the decision
  "not_permitted",
  "claim_mismatch",
  "condition_not_met",
  "scope_too_wide",
  "target_ambiguous",
  "not_a_token",
  "invalid_token",
  "insufficient_scope",
  "ambiguous_request",
  "locked",
  "task_ended",
  "limit_active",
  "limit_rate",
  // leases and idempotency
  "already_issued",
  "in_flight",
  "idempotency_mismatch",
  "lease_ended",
  "not_renewable",
  "superseded",
  "too_many_requests",
  // load and dependencies: not a decision, nothing was issued
  "overloaded",
  "identity_keys_unavailable",
  "store_unavailable",
  "audit_unavailable",
  "clock_disagrees",
  "on_hold",
  "issuer_unavailable",
  "revocation_pending",
  "server_error",
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** What may ride beside an error for its caller. Nothing here may hold a secret or say more than the caller may know. */
export interface ErrorFacts {
  readonly denialId?: string;
  readonly hint?: string;
  readonly failedClaims?: readonly string[];
  readonly yours?: Readonly<Record<string, unknown>>;
  readonly retryAfterSeconds?: number;
  readonly leaseId?: string;
  readonly revocationId?: string;
  readonly candidates?: readonly string[];
  readonly errors?: readonly { readonly path: string; readonly message: string }[];
}

/** An error with a stable code and a message that its caller may read; `cause` is for the log. It knows no HTTP. */
export class StintError extends Error {
  override readonly name: string = "StintError";
  readonly code: ErrorCode;
  readonly facts: ErrorFacts;
  constructor(code: ErrorCode, message: string, facts: ErrorFacts = {}, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.facts = facts;
  }
}

/** A mistake in what somebody wrote: where it is, what is wrong, what would help. */
export interface Problem {
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  /** Where in the document, for example `deploy-prod.allow[0].claims.ref`. */
  readonly path?: string;
  /** Stable id of a lint rule, when a rule found it. */
  readonly rule?: string;
  readonly severity: "error" | "warning";
  readonly message: string;
  readonly help?: string;
}
