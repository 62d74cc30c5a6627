import { ZodError, type z } from "zod";
import { type ErrorFacts, StintError } from "../../domain/errors.ts";
import type { OAuthErrorView, ProblemView } from "../../domain/wire.ts";
import { PROOF_ALGORITHMS } from "../dpop/proof.ts";
import { ERROR_ANSWERS, type ErrorAnswer } from "./error-answers.ts";
import { MethodNotAllowed } from "./method-not-allowed.ts";
import type { Answer } from "./route.ts";

const DEFAULT_RETRY_SECONDS = 5;
/** One constant sentence, whatever the service said: unknown and foreign must look the same. */
const NOT_FOUND = "There is no such thing here.";

/** Where an error goes: its `type` and its trace. */
export interface ErrorPlace {
  readonly url: string;
  readonly traceId: string;
  readonly path: string;
}

/** Whatever was thrown, as an error with a code. What we do not know is `server_error`, its cause kept for the log. */
export function toStintError(thrown: unknown): StintError {
  if (thrown instanceof StintError) return thrown;
  if (thrown instanceof ZodError) return invalidInput(thrown);
  // express could not decode the path
  if (thrown instanceof URIError) return new StintError("invalid_request", "the path is not percent-encoded UTF-8 text");
  return new StintError("server_error", "something went wrong inside the broker", {}, { cause: thrown });
}

function invalidInput(error: ZodError): StintError {
  const errors = error.issues
    .slice(0, 20)
    .map((issue) => ({ path: clip(issue.path.join("."), 128), message: clip(sentenceOf(issue, issue.path.length === 0), 256) }));
  const [first] = errors;
  const where = first === undefined || first.path === "" ? "" : `${first.path}: `;
  return new StintError("invalid_request", `${where}${first?.message ?? "not understood"}`, { errors });
}

/** The library's own words for its commonest findings are words for programmers; ours, where a schema says none of its own. */
function sentenceOf(issue: z.core.$ZodIssue, whole: boolean): string {
  if (issue.code === "unrecognized_keys")
    return `unknown member${issue.keys.length === 1 ? "" : "s"}: ${issue.keys.map((key) => `"${key}"`).join(", ")}`;
  if (!issue.message.startsWith("Invalid ")) return issue.message;
  if (issue.code === "invalid_type" && issue.message.endsWith("received undefined")) return whole ? "the body is missing" : "is missing";
  if (issue.code === "invalid_type") return `expected ${issue.expected}`;
  if (issue.code === "invalid_value") {
    const values = issue.values.map((value) => (typeof value === "string" ? `"${value}"` : String(value)));
    return values.length === 1 ? `expected ${values[0] ?? ""}` : `expected one of ${values.join(", ")}`;
  }
  return "has another form than expected";
}

/** RFC 9457, for everything outside /oauth2. */
export function problem(error: StintError, place: ErrorPlace): Answer {
  const answer = ERROR_ANSWERS[error.code];
  const body: ProblemView = {
    type: `${place.url}/problems/${error.code}`,
    title: answer.title,
    status: answer.status,
    detail: detailOf(error),
    instance: place.path,
    ...common(error, answer, place),
    ...(error.facts.errors === undefined ? {} : { errors: [...error.facts.errors] }),
  };
  return {
    status: answer.status,
    type: "application/problem+json",
    body,
    headers: [...allowed(error), ...retryAfter(error.facts, answer, answer.status), ...challenge(error, answer.status)],
  };
}

/** RFC 6749 section 5.2, for /oauth2: never problem+json there, and 400 unless the table says otherwise. */
export function oauthError(error: StintError, place: ErrorPlace): Answer {
  const answer = ERROR_ANSWERS[error.code];
  // a wrong secret in the body gets no challenge, and so no 401: clients would raise the challenge instead of the error
  const status = error.facts.hint === IN_BODY ? 400 : (answer.oauthStatus ?? 400);
  const body: OAuthErrorView = {
    error: answer.oauth,
    error_description: describe(detailOf(error)),
    error_uri: `${place.url}/problems/${error.code}`,
    ...common(error, answer, place),
  };
  return {
    status,
    body,
    headers: [
      ...allowed(error),
      ...retryAfter(error.facts, answer, status),
      ...(status === 401 ? ["WWW-Authenticate", 'Basic realm="stint", charset="UTF-8"'] : []),
    ],
  };
}

/** Hint of an `invalid_client` whose secret came in the body. */
export const IN_BODY = "The secret came in the body.";

function common(
  error: StintError,
  answer: ErrorAnswer,
  place: ErrorPlace,
): Pick<ProblemView, "code" | "trace_id" | "retryable"> & Partial<ProblemView> {
  const { denialId, hint, failedClaims, yours, leaseId, revocationId, candidates } = error.facts;
  return {
    code: error.code,
    retryable: answer.retryable,
    trace_id: place.traceId,
    ...(denialId === undefined ? {} : { denial_id: denialId as ProblemView["denial_id"] }),
    ...(hint === undefined ? {} : { hint }),
    ...(failedClaims === undefined ? {} : { failed_claims: [...failedClaims] }),
    ...(yours === undefined ? {} : { yours: { ...yours } }),
    ...(leaseId === undefined ? {} : { lease_id: leaseId as ProblemView["lease_id"] }),
    ...(revocationId === undefined ? {} : { revocation_id: revocationId as ProblemView["revocation_id"] }),
    ...(candidates === undefined ? {} : { candidates: [...candidates] }),
  };
}

const detailOf = (error: StintError): string => (error.code === "not_found" ? NOT_FOUND : error.message);

function retryAfter(facts: ErrorFacts, answer: ErrorAnswer, status: number): string[] {
  if (!answer.retryable || (status !== 429 && status !== 503)) return [];
  return ["Retry-After", String(Math.max(1, Math.ceil(facts.retryAfterSeconds ?? DEFAULT_RETRY_SECONDS)))];
}

const allowed = (error: StintError): string[] => (error instanceof MethodNotAllowed ? ["Allow", error.allow] : []);

/** RFC 9449 section 7.1: these are answered by the scheme that would help. */
const PROOF_ERRORS: ReadonlySet<string> = new Set(["invalid_dpop_proof", "use_dpop_nonce", "binding_mismatch"]);

/** RFC 6750 section 3: without credentials a bare challenge, else what was wrong with them. */
function challenge(error: StintError, status: number): string[] {
  if (status !== 401) return [];
  if (PROOF_ERRORS.has(error.code)) {
    const said = error.code === "binding_mismatch" ? "invalid_token" : error.code;
    return ["WWW-Authenticate", `DPoP realm="stint", error="${said}", algs="${PROOF_ALGORITHMS.join(" ")}"`];
  }
  return ["WWW-Authenticate", error.code === "unauthenticated" ? 'Bearer realm="stint"' : 'Bearer realm="stint", error="invalid_token"'];
}

/** RFC 6749 section 5.2: printable ASCII without quote and backslash. */
const describe = (text: string): string =>
  clip(
    text
      .replaceAll('"', "'")
      .replaceAll("\\", "/")
      .replaceAll(/\s/g, " ")
      .replaceAll(/[^\x20-\x7e]/g, "?"),
    512,
  );
const clip = (text: string, max: number): string => (text.length <= max ? text : `${text.slice(0, max - 3)}...`);
