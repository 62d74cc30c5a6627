import type { Confirmation } from "./confirmation.ts";
import type { VerifyError } from "./errors.ts";

export interface AnswerSettings {
  /** `realm` of the challenge; the audience by default. */
  readonly realm: string;
  /** Whether answers say more than the error code: `detailed` adds a constant sentence. Why in full stands in the log, always. */
  readonly errors: "detailed" | "minimal";
  /** URL of our protected resource metadata (RFC 9728 section 5.1). */
  readonly resourceMetadata?: string | undefined;
  readonly confirmations: readonly Confirmation[];
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON, or nothing. */
  readonly body: string;
}

/**
 * What to answer a request that is refused (RFC 6750 section 3): no `error` where no token came, all needed scopes in one
 * challenge, one challenge a scheme, every value quoted. 503 is no challenge: another token would fare no better.
 */
export function answerTo(refusal: VerifyError, settings: AnswerSettings): Answer {
  const { status, error, description, headers } = refusal;
  const said = settings.errors === "detailed" ? description : undefined;
  const challenges = status === 503 ? [] : challengesOf(refusal, settings, said);
  const body = error === undefined ? "" : JSON.stringify({ error, ...(said !== undefined && { error_description: said }) });
  return {
    status,
    headers: {
      "cache-control": "no-store",
      ...(body !== "" && { "content-type": "application/json" }),
      ...(challenges.length > 0 && { "www-authenticate": challenges.join(", ") }),
      ...headers,
    },
    body,
  };
}

function challengesOf(refusal: VerifyError, settings: AnswerSettings, description: string | undefined): readonly string[] {
  const { error, scopes, scheme, challenge } = refusal;
  const { realm, resourceMetadata, confirmations } = settings;
  const scope = scopes === undefined || scopes.length === 0 ? undefined : scopes.join(" ");
  const about = {
    realm,
    scope,
    error,
    error_description: error === undefined ? undefined : description,
    resource_metadata: resourceMetadata,
  };
  const challenges = [write(scheme, { ...challenge, ...about })];
  // a client that has sent nothing may choose how: each scheme once
  if (error === undefined) {
    for (const other of confirmations) if (other.scheme !== scheme) challenges.push(write(other.scheme, { realm, ...other.challenge }));
  }
  return challenges;
}

function write(scheme: string, parameters: Readonly<Record<string, string | undefined>>): string {
  const written = Object.entries(parameters).flatMap(([name, value]) => (value === undefined ? [] : [`${name}="${quotable(value)}"`]));
  return `${scheme} ${written.join(", ")}`;
}

/** RFC 6750 section 3 and RFC 6749 appendix A: printable ASCII without the quote and the backslash. Anything else becomes a space. */
const quotable = (text: string): string => text.replaceAll(/[^\x20-\x7e]|["\\]/g, " ");
