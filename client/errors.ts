import type { ErrorCode } from "../domain/errors.ts";

/** What a broker says beside an error, as the wire spells it; every member is optional and untrusted. */
export interface ErrorBody {
  readonly error?: unknown;
  readonly error_description?: unknown;
  readonly title?: unknown;
  readonly detail?: unknown;
  readonly code?: unknown;
  readonly denial_id?: unknown;
  readonly hint?: unknown;
  readonly retryable?: unknown;
  readonly trace_id?: unknown;
  readonly failed_claims?: unknown;
  readonly yours?: unknown;
  readonly lease_id?: unknown;
  readonly revocation_id?: unknown;
  readonly candidates?: unknown;
  readonly errors?: unknown;
  readonly type?: unknown;
}

interface Facts {
  readonly code: string;
  readonly status?: number;
  readonly body?: ErrorBody;
  readonly retryable?: boolean;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** The system's code of an error (`ENOENT`), whichever realm made it. */
export function systemCode(error: unknown): string | undefined {
  return typeof error === "object" && error !== null && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

/** Anything the broker or the way to it answered with. `code` is stable; the message never holds a credential. */
export class BrokerError extends Error {
  override readonly name: string = "BrokerError";
  readonly code: string;
  /** HTTP status; undefined when no answer came. */
  readonly status: number | undefined;
  /** Quote it to the owner of the grant. */
  readonly denialId: string | undefined;
  /** What would help, in words. */
  readonly hint: string | undefined;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly traceId: string | undefined;
  /** Page that explains the code. */
  readonly docUrl: string | undefined;
  readonly body: ErrorBody;
  constructor(message: string, facts: Facts) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.body = facts.body ?? {};
    this.code = facts.code;
    this.status = facts.status;
    this.denialId = text(this.body.denial_id);
    this.hint = text(this.body.hint);
    this.retryable = this.body.retryable === true || (this.body.retryable === undefined && facts.retryable === true);
    this.retryAfterMs = facts.retryAfterMs;
    this.traceId = text(this.body.trace_id);
    this.docUrl = text(this.body.type);
  }
}

/** The policy, a limit or a role says no. */
export class DeniedError extends BrokerError {
  override readonly name = "DeniedError";
  /** Names of the caller's own claims that did not meet the rules. */
  get failedClaims(): readonly string[] {
    return Array.isArray(this.body.failed_claims) ? this.body.failed_claims.filter((name) => typeof name === "string") : [];
  }
  /** The caller's own values of the claims that mattered. */
  get yours(): Readonly<Record<string, unknown>> {
    const { yours } = this.body;
    return typeof yours === "object" && yours !== null ? { ...yours } : {};
  }
}

/** The broker does not accept who is asking, or there is nothing here to prove it with. */
export class IdentityError extends BrokerError {
  override readonly name = "IdentityError";
}

/** An operator locked this, or the broker is on hold. */
export class LockedError extends BrokerError {
  override readonly name = "LockedError";
}

/** Nobody answered, or the broker cannot decide now. Nothing was issued; safe to try again. */
export class UnreachableError extends BrokerError {
  override readonly name = "UnreachableError";
}

/** No such thing, or it has already ended. */
export class GoneError extends BrokerError {
  override readonly name = "GoneError";
}

/** The request itself is wrong. */
export class InvalidRequestError extends BrokerError {
  override readonly name = "InvalidRequestError";
}

type ErrorClass = new (message: string, facts: Facts) => BrokerError;

/** Which kind of error each code is. A new code does not compile until somebody says. */
const CLASSES: Readonly<Record<ErrorCode, ErrorClass>> = {
  invalid_request: InvalidRequestError,
  unsupported_grant_type: InvalidRequestError,
  payload_too_large: InvalidRequestError,
  unsupported_media_type: InvalidRequestError,
  method_not_allowed: BrokerError,
  not_acceptable: InvalidRequestError,
  not_implemented: InvalidRequestError,
  idempotency_mismatch: InvalidRequestError,
  not_found: GoneError,
  task_ended: GoneError,
  lease_ended: GoneError,
  invalid_client: IdentityError,
  unauthenticated: IdentityError,
  invalid_identity: IdentityError,
  issuer_unknown: IdentityError,
  audience_mismatch: IdentityError,
  token_expired: IdentityError,
  clock_skew: IdentityError,
  evidence_spent: IdentityError,
  identity_incomplete: IdentityError,
  invalid_dpop_proof: IdentityError,
  use_dpop_nonce: IdentityError,
  binding_mismatch: IdentityError,
  insufficient_role: DeniedError,
  not_permitted: DeniedError,
  claim_mismatch: DeniedError,
  condition_not_met: DeniedError,
  scope_too_wide: DeniedError,
  target_ambiguous: DeniedError,
  not_a_token: InvalidRequestError,
  limit_active: DeniedError,
  limit_rate: DeniedError,
  not_renewable: DeniedError,
  invalid_token: IdentityError,
  insufficient_scope: DeniedError,
  ambiguous_request: DeniedError,
  locked: LockedError,
  on_hold: LockedError,
  already_issued: BrokerError,
  in_flight: BrokerError,
  superseded: BrokerError,
  server_error: BrokerError,
  too_many_requests: UnreachableError,
  identity_keys_unavailable: UnreachableError,
  overloaded: UnreachableError,
  store_unavailable: UnreachableError,
  audit_unavailable: UnreachableError,
  clock_disagrees: UnreachableError,
  issuer_unavailable: UnreachableError,
  revocation_pending: UnreachableError,
};

function classFor(code: string, status: number): ErrorClass {
  const known = Object.hasOwn(CLASSES, code) ? CLASSES[code as ErrorCode] : undefined;
  if (known !== undefined) return known;
  if (status === 401) return IdentityError;
  if (status === 403) return DeniedError;
  if (status === 404 || status === 410) return GoneError;
  if (status === 429 || status >= 502) return UnreachableError;
  return status >= 400 && status < 500 ? InvalidRequestError : BrokerError;
}

/** The typed error for an answer that is not a success: RFC 9457 problem, OAuth error (RFC 6749 section 5.2), or neither. */
export function errorFromAnswer(status: number, body: ErrorBody, retryAfterMs: number | undefined): BrokerError {
  const code = text(body.code) ?? text(body.error) ?? `http_${status}`;
  const message = text(body.detail) ?? text(body.error_description) ?? text(body.title) ?? `the broker answered ${status}`;
  const retryable = status === 429 || (status >= 500 && status !== 501);
  return new (classFor(code, status))(message, { code, status, body, retryable, retryAfterMs });
}
