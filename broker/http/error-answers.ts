import type { ErrorCode } from "../../domain/errors.ts";

/** How an error is answered, and what its page at `/problems/{code}` says. */
export interface ErrorAnswer {
  /** Outside /oauth2. */
  readonly status: number;
  /** At /oauth2: the registered error, and the status where it is not 400 (RFC 6749 section 5.2, RFC 8693 section 2.2.2). */
  readonly oauth:
    | "invalid_request"
    | "invalid_target"
    | "invalid_scope"
    | "invalid_client"
    | "unsupported_grant_type"
    | "temporarily_unavailable"
    | "invalid_dpop_proof"
    | "use_dpop_nonce"
    | "server_error";
  readonly oauthStatus?: number;
  /** Whether the same request may succeed later without any change. */
  readonly retryable: boolean;
  readonly title: string;
  readonly meaning: string;
  readonly remedy: string;
}

type Kind = Omit<ErrorAnswer, "title" | "meaning" | "remedy">;

const malformed: Kind = { status: 400, oauth: "invalid_request", retryable: false };
const evidence: Kind = { status: 401, oauth: "invalid_request", retryable: false };
const denied: Kind = { status: 403, oauth: "invalid_target", retryable: false };
const limited: Kind = { status: 429, oauth: "temporarily_unavailable", oauthStatus: 429, retryable: true };
const conflict: Kind = { status: 409, oauth: "invalid_request", oauthStatus: 409, retryable: false };
const ended: Kind = { status: 409, oauth: "invalid_target", retryable: false };
const unavailable: Kind = { status: 503, oauth: "temporarily_unavailable", oauthStatus: 503, retryable: true };

const say = (kind: Kind, title: string, meaning: string, remedy: string): ErrorAnswer => ({ ...kind, title, meaning, remedy });
const NOT_A_DECISION = "This is no policy decision, and nothing was issued.";
const TRY_AGAIN = "Try again after the seconds in Retry-After.";

/** Every code has an answer: a new one does not compile until it stands here. */
export const ERROR_ANSWERS: Readonly<Record<ErrorCode, ErrorAnswer>> = {
  invalid_request: say(
    malformed,
    "Malformed request",
    "The request is missing something, or something in it has the wrong form.",
    "Read detail and errors: they name the members.",
  ),
  unsupported_grant_type: say(
    { ...malformed, oauth: "unsupported_grant_type" },
    "Unsupported grant type",
    "The token endpoint offers token exchange (RFC 8693) and nothing else.",
    "Send grant_type=urn:ietf:params:oauth:grant-type:token-exchange.",
  ),
  invalid_client: say(
    { ...evidence, oauth: "invalid_client", oauthStatus: 401 },
    "Caller not authenticated",
    "The verifier's name or key is missing or wrong.",
    "Present the key of a Verifier document as Basic name:key, as Bearer name:key, or as client_id and client_secret.",
  ),
  not_found: say(
    { ...malformed, status: 404, oauthStatus: 404 },
    "Not found",
    "There is no such thing, or it is not yours to see: both look the same on purpose.",
    "Check the id, and that the token belongs to it.",
  ),
  method_not_allowed: say(
    { ...malformed, status: 405, oauthStatus: 405 },
    "Method not allowed",
    "The path exists, but not with this method.",
    "The Allow header lists the methods.",
  ),
  not_acceptable: say(
    { ...malformed, status: 406 },
    "Not acceptable",
    "It exists, but in no form that Accept lets us send.",
    "Ask for the type in detail.",
  ),
  not_implemented: say(
    { ...malformed, status: 501 },
    "Not offered",
    "The standard allows for this, and we do not offer it.",
    "Leave it out.",
  ),
  payload_too_large: say({ ...malformed, status: 413, oauthStatus: 413 }, "Body too large", "A body holds 64 KiB at most.", "Send less."),
  unsupported_media_type: say(
    { ...malformed, status: 415 },
    "Unsupported media type",
    "Bodies are application/json in UTF-8, uncompressed; at /oauth2 they are application/x-www-form-urlencoded.",
    "Set Content-Type accordingly and leave Content-Encoding out.",
  ),
  unauthenticated: say(
    { ...evidence, oauth: "invalid_client", oauthStatus: 401 },
    "Not authenticated",
    "The request carries no token, or none that this route accepts.",
    "Send Authorization: Bearer with the token that the route asks for.",
  ),
  insufficient_role: say(
    { ...denied, oauth: "invalid_request" },
    "Role too small",
    "Your operator token is good, but its role does not reach this route.",
    "Ask somebody with the role named in detail.",
  ),

  invalid_identity: say(
    evidence,
    "Identity not accepted",
    "The identity token could not be verified: its form, its signature or its claims are wrong.",
    "Fetch a fresh token from your platform and send it unchanged.",
  ),
  issuer_unknown: say(
    evidence,
    "Issuer not trusted",
    "The token comes from an identity provider that no Trust document names.",
    "Compare the token's iss with the Trust document, byte for byte; a trailing slash matters.",
  ),
  audience_mismatch: say(
    evidence,
    "Wrong audience",
    "The token was made for another audience.",
    "Ask your platform for a token whose audience is this broker's URL, or the one its Trust document names.",
  ),
  token_expired: say(evidence, "Token expired", "The identity token was no longer valid when it arrived.", "Fetch it right before use."),
  clock_skew: say(
    evidence,
    "Clocks disagree",
    "The identity token says it is not valid yet, by more than the allowance of 30 seconds.",
    "Check the clock of the machine that asked, and of the identity provider.",
  ),
  evidence_spent: say(
    evidence,
    "Token already used",
    "This identity token has been used as often as it may be.",
    "Fetch a fresh one, or go on with the task token of the first answer.",
  ),
  identity_incomplete: say(
    evidence,
    "Identity incomplete",
    "A claim that the trust needs to name the workload is missing from the token.",
    "Ask the owner of the Trust document which claims it needs, and your platform to send them.",
  ),

  invalid_dpop_proof: say(
    { ...evidence, oauth: "invalid_dpop_proof" },
    "Proof not accepted",
    "The DPoP proof is malformed, was made for another request or key, is too old, or has been used before.",
    "Make a new proof for every request: method, URL without query, time, a fresh jti, and the nonce of the last answer.",
  ),
  use_dpop_nonce: say(
    { ...evidence, oauth: "use_dpop_nonce", retryable: true },
    "Proof needs our nonce",
    "A DPoP proof must hold a nonce of this broker that is no older than two minutes.",
    "Repeat the request at once with a new proof that holds the nonce of the DPoP-Nonce header.",
  ),
  binding_mismatch: say(
    evidence,
    "Key not proven",
    "What was presented is bound to a key, and this request does not prove that key.",
    "Present a DPoP-bound token as Authorization: DPoP with a proof of its key, a certificate-bound one over TLS with its certificate.",
  ),

  not_permitted: say(
    denied,
    "Not permitted",
    "No grant by that name, or for that audience, is available to this workload.",
    "Quote the denial_id to an operator, who sees the reasoning with: stint policy explain.",
  ),
  claim_mismatch: say(
    denied,
    "Claims do not match",
    "The rules of this grant were not met by the claims named in failed_claims; yours holds what you sent.",
    "Change what the job runs as (branch, environment, workflow), or quote the denial_id to the grant's owner.",
  ),
  condition_not_met: say(
    denied,
    "Condition not met",
    "A condition on the request, such as its purpose or the hour, does not hold.",
    "Quote the denial_id to the grant's owner.",
  ),
  scope_too_wide: say(
    { ...denied, oauth: "invalid_scope" },
    "Scope too wide",
    "More was asked for than the grant gives.",
    "Ask for less, or for no scope at all to get what the grant gives.",
  ),
  target_ambiguous: say(
    { ...denied, status: 400 },
    "Several grants fit",
    "More than one grant issues for that audience; candidates names them.",
    "Name one: scope=grant:NAME.",
  ),
  not_a_token: say(
    { ...denied, status: 400 },
    "Not a token",
    "The grant issues something that is no bearer token (a database role, a certificate), which a token answer cannot hold.",
    "Ask for it at POST /v1/tasks/{id}/credentials with the task token, as stint request and stint exec do.",
  ),
  invalid_token: say(
    { ...evidence, oauth: "invalid_request" },
    "Token not accepted",
    "The token is not a live one of ours for this audience: expired, revoked, made for somebody else or not bound to its sender look the same.",
    "Ask for a fresh credential.",
  ),
  insufficient_scope: say(
    denied,
    "Scope too small",
    "The route that decides on this request needs scopes that the token does not have.",
    "Ask for a credential with the scopes named.",
  ),
  ambiguous_request: say(
    denied,
    "Request can be read in two ways",
    "The path is written so that a proxy, a framework or a file system may take it for another one.",
    "Send the path plainly: no encoded separators, no dots, no double slashes, letters as the route has them.",
  ),
  locked: say(
    denied,
    "Locked",
    "An operator has stopped credentials for this workload, grant, issuer or trust.",
    "Read the message, and wait for the lock's end or talk to whoever set it.",
  ),
  task_ended: say(ended, "Task ended", "The task has ended; nothing more can be had under it.", "Begin a new task with fresh evidence."),
  limit_active: say(
    limited,
    "Too many live leases",
    "The workload holds as many live credentials of this grant as it may.",
    "Complete tasks that are finished, or wait.",
  ),
  limit_rate: say(
    limited,
    "Too many in an hour",
    "The workload has asked for this grant as often as it may within an hour.",
    "Use credentials longer, or wait for Retry-After.",
  ),

  already_issued: say(
    conflict,
    "Already issued",
    "This idempotency key has already made the lease in lease_id, and its credential is not kept, so it can't be shown again.",
    "Release that lease and ask with a new key.",
  ),
  in_flight: say(
    { ...conflict, retryable: true },
    "Still being made",
    "A request with this idempotency key is still under way.",
    "Try again in a moment with the same key.",
  ),
  idempotency_mismatch: say(
    { ...malformed, status: 422, oauthStatus: 422 },
    "Key used for something else",
    "This idempotency key came with another body before.",
    "Use a new key for a new request.",
  ),
  lease_ended: say(ended, "Lease ended", "The lease has ended and cannot come back.", "Ask for a new credential."),
  not_renewable: say(
    ended,
    "Not renewable",
    "The lease cannot be extended: it has reached its grant's longest life, or its issuer cannot renew.",
    "Ask for a new credential under the task.",
  ),
  superseded: say(
    { ...ended, retryable: true },
    "Revoked meanwhile",
    "A revocation took effect at the very moment of this request.",
    "Ask again; if a lock was set, you will be told.",
  ),
  too_many_requests: say(limited, "Slow down", "Too many requests from this source, or too many of them failed.", TRY_AGAIN),

  overloaded: say(unavailable, "Too much to do", `More was asked than this broker can do in good time. ${NOT_A_DECISION}`, TRY_AGAIN),
  identity_keys_unavailable: say(
    unavailable,
    "Identity provider unreachable",
    `The keys of the identity provider cannot be fetched. ${NOT_A_DECISION}`,
    TRY_AGAIN,
  ),
  store_unavailable: say(
    unavailable,
    "Store unavailable",
    `The store cannot be reached. Nothing was issued, nothing revoked, nothing queued.`,
    TRY_AGAIN,
  ),
  audit_unavailable: say(
    unavailable,
    "Audit unavailable",
    `Records cannot be kept, so nothing is issued; revoking goes on.`,
    "Operators: see /readyz and the audit directory. Callers: try again after Retry-After.",
  ),
  clock_disagrees: say(
    unavailable,
    "Clocks disagree",
    `Broker and store disagree about the time, so nothing is issued; ending goes on.`,
    "Operators: check NTP on both. Callers: try again after Retry-After.",
  ),
  on_hold: say(
    unavailable,
    "On hold",
    `The store has gone back in time, so nothing is issued until a person has looked.`,
    "Operators: stint hold show. Callers: try again later.",
  ),
  issuer_unavailable: say(
    unavailable,
    "Issuer unavailable",
    `The system that makes this credential does not answer. ${NOT_A_DECISION}`,
    TRY_AGAIN,
  ),
  revocation_pending: say(
    unavailable,
    "Revocation not yet everywhere",
    "The revocation goes on, but not every part of the store has confirmed it.",
    "Follow it under its revocation_id.",
  ),
  server_error: say(
    { status: 500, oauth: "server_error", oauthStatus: 500, retryable: true },
    "Our mistake",
    "Something went wrong inside the broker; its log has the reason under the trace_id.",
    "Try again; if it stays, give the trace_id to whoever runs the broker.",
  ),
};
