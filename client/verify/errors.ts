/** Error codes of the answers: RFC 6750 section 3.1, and one for knowing too little to say yes. */
export type VerifyErrorCode = "invalid_request" | "invalid_token" | "insufficient_scope" | "temporarily_unavailable";

interface Kind {
  readonly status: 400 | 401 | 403 | 503;
  /** Absent where nothing was presented: RFC 6750 section 3 wants a challenge without an error then. */
  readonly error?: VerifyErrorCode;
  readonly description: string;
}

const INVALID_REQUEST = { status: 400, error: "invalid_request" } as const;
const INVALID_TOKEN = { status: 401, error: "invalid_token" } as const;
const SCOPE = { status: 403, error: "insufficient_scope" } as const;
const UNAVAILABLE = { status: 503, error: "temporarily_unavailable" } as const;

/** Why a request was refused; each with its answer. Descriptions are constants: nothing that was sent is ever repeated. */
const REASONS = {
  no_token: { status: 401, description: "an access token is needed" },
  malformed_request: { ...INVALID_REQUEST, description: "the Authorization header is not of the form: Bearer token" },
  two_transports: { ...INVALID_REQUEST, description: "the access token was sent more than once" },
  query_token: { ...INVALID_REQUEST, description: "an access token in a URL is refused; send it in the Authorization header" },
  too_large: { ...INVALID_TOKEN, description: "the token is too long" },
  malformed: { ...INVALID_TOKEN, description: "the token is malformed" },
  header_refused: { ...INVALID_TOKEN, description: "the token's header has a member that is not accepted" },
  algorithm_refused: { ...INVALID_TOKEN, description: "the token's algorithm is not accepted" },
  wrong_type: { ...INVALID_TOKEN, description: "the token is not an access token by its typ" },
  unknown_key: { ...INVALID_TOKEN, description: "the token is signed with a key that the issuer does not publish" },
  bad_signature: { ...INVALID_TOKEN, description: "the token's signature is not valid" },
  wrong_issuer: { ...INVALID_TOKEN, description: "the token is from another issuer" },
  wrong_audience: { ...INVALID_TOKEN, description: "the token is for another audience" },
  expired: { ...INVALID_TOKEN, description: "the token has expired" },
  not_yet_valid: { ...INVALID_TOKEN, description: "the token is not valid yet" },
  claim_refused: { ...INVALID_TOKEN, description: "a claim of the token is missing or malformed" },
  proof_needed: { ...INVALID_TOKEN, description: "the token is bound to a key, and there is no valid proof of it" },
  revoked: { ...INVALID_TOKEN, description: "the token was revoked" },
  status_refused: { ...INVALID_TOKEN, description: "the token has no place in a status list of its issuer" },
  inactive: { ...INVALID_TOKEN, description: "the token is no longer active" },
  insufficient_scope: { ...SCOPE, description: "the token's scope is too small" },
  no_task: { ...SCOPE, description: "the token does not belong to the task that is needed" },
  stale: { ...UNAVAILABLE, description: "what is known about revocations is too old to honour any token" },
  keys_unavailable: { ...UNAVAILABLE, description: "the issuer's keys cannot be read" },
  status_unavailable: { ...UNAVAILABLE, description: "the token's status list cannot be read" },
  introspection_unavailable: { ...UNAVAILABLE, description: "the issuer cannot be asked about the token" },
  closed: { ...UNAVAILABLE, description: "the verifier was closed" },
} as const satisfies Readonly<Record<string, Kind>>;

export type VerifyReason = keyof typeof REASONS;

export interface VerifyErrorDetail {
  /** More for the log; never sent. */
  readonly detail?: string;
  /** The lease, once the signature was good. */
  readonly lease?: string | undefined;
  /** Scopes that were needed, all of them. */
  readonly scopes?: readonly string[];
  /** Challenge of another scheme than Bearer, and headers that go with the answer. */
  readonly scheme?: string;
  readonly challenge?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** An error code of another scheme (RFC 9449 `use_dpop_nonce`) in place of the reason's own. */
  readonly error?: string;
  readonly cause?: unknown;
}

/** A request that is not honoured. `reason` is for logs and tests, `error` and `status` for the answer. */
export class VerifyError extends Error {
  override readonly name: string = "VerifyError";
  readonly reason: VerifyReason;
  readonly status: number;
  readonly error: string | undefined;
  /** A constant sentence, ASCII, fit for `error_description`. */
  readonly description: string;
  readonly lease: string | undefined;
  readonly scopes: readonly string[] | undefined;
  readonly scheme: string;
  readonly challenge: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(reason: VerifyReason, more: VerifyErrorDetail = {}) {
    const kind: Kind = REASONS[reason];
    super(more.detail === undefined ? kind.description : `${kind.description}: ${more.detail}`, { cause: more.cause });
    this.reason = reason;
    this.status = kind.status;
    this.error = more.error ?? kind.error;
    this.description = kind.description;
    this.lease = more.lease;
    this.scopes = more.scopes;
    this.scheme = more.scheme ?? "Bearer";
    this.challenge = more.challenge ?? {};
    this.headers = more.headers ?? {};
  }
}
