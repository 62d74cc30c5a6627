import { answerTo, type AnswerSettings } from "./challenge.ts";
import { VerifyError } from "./errors.ts";
import { checkNeeds, type Needs } from "./needs.ts";
import type { Verified } from "./known-tokens.ts";
import type { Verifier } from "./verifier.ts";

export interface AnswerOptions {
  /** `realm` of challenges; the audience by default. */
  readonly realm?: string;
  /** `detailed` by default; `minimal` gives nothing but the error code. */
  readonly errors?: "detailed" | "minimal";
  /** URL of our protected resource metadata, for challenges (RFC 9728). */
  readonly resourceMetadata?: string;
}

/** Options of answers, complete. */
export const answerSettings = (verifier: Verifier, { realm, errors = "detailed", resourceMetadata }: AnswerOptions): AnswerSettings => ({
  realm: realm ?? verifier.audience,
  errors,
  resourceMetadata,
  confirmations: verifier.confirmations,
});

/**
 * Wraps a web-standard handler: it is called with what was verified, or not at all. For any runtime that speaks Request and
 * Response. Errors of the handler itself are its caller's.
 */
export function protect(
  verifier: Verifier,
  handler: (request: Request, verified: Verified) => Response | Promise<Response>,
  options: AnswerOptions & Needs = {},
): (request: Request) => Promise<Response> {
  const settings = answerSettings(verifier, options);
  return async (request) => {
    let verified: Verified;
    try {
      verified = await verifier.verify(request);
      checkNeeds(verified, options);
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      const { status, headers, body } = answerTo(error, settings);
      return new Response(body === "" ? null : body, { status, headers });
    }
    const response = await handler(request, verified);
    if (verified.headers === undefined) return response;
    const headers = new Headers(response.headers);
    for (const [name, value] of Object.entries(verified.headers)) headers.set(name, value);
    return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
  };
}
