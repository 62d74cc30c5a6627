import { IdentityError } from "../errors.ts";

/** Environment variables, as a process has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Something that can prove what this software is. `token` gives evidence for now; it may reach out to the platform. */
export interface Identity {
  /** Where the evidence comes from, for people: `GitHub Actions`, `STINT_ID_TOKEN_FILE`. */
  readonly source: string;
  /** Throws `IdentityError` (`no_identity`) that names what is missing. */
  token(): Promise<string>;
}

/** What the sources need: the variables, and the audience that evidence must be made for (the broker's URL). */
export interface SourceOptions {
  readonly env: Environment;
  readonly audience: string;
  readonly fetch: typeof fetch;
}

/** A platform that may vouch for us; undefined when we are not on it. */
export type Source = (options: SourceOptions) => Identity | undefined;

/** The error for evidence that cannot be had: what is missing, and what would help. */
export function noIdentity(message: string, hint: string, cause?: unknown): IdentityError {
  return new IdentityError(message, { code: "no_identity", body: { hint }, retryable: false, ...(cause === undefined ? {} : { cause }) });
}

/** A platform that could not give evidence just now. */
export function identityUnavailable(message: string, hint: string, cause?: unknown): IdentityError {
  return new IdentityError(message, { code: "no_identity", body: { hint }, retryable: true, ...(cause === undefined ? {} : { cause }) });
}
