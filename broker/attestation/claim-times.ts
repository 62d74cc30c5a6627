import { StintError } from "../../domain/errors.ts";
import type { Claims } from "../../domain/principal.ts";
import { SKEW_MS, formatDuration } from "../../domain/time.ts";

/** Last second of the year 9999: nothing that is meant ends later. */
const LATEST = 253_402_300_799;

/** What a token says of its own time, in milliseconds. */
export interface TokenTimes {
  readonly expiresAt: number;
  /** After this instant the token is refused for its end or its age; the allowance for skew is in it. */
  readonly usableUntil: number;
}

/**
 * Holds `exp`, `iat` and `nbf` against the clock, 30 s either way. `iat` may be absent where `iatOptional` (JWT-SVIDs); otherwise no
 * token older than `maxAgeMs` is accepted. Throws `invalid_identity token_expired clock_skew`.
 */
export function checkTimes(claims: Claims, now: number, maxAgeMs: number, iatOptional: boolean): TokenTimes {
  const exp = instant(claims, "exp");
  const iat = instant(claims, "iat");
  const nbf = instant(claims, "nbf");
  if (exp === undefined) throw new StintError("invalid_identity", "identity token has no exp");
  if (iat === undefined && !iatOptional) throw new StintError("invalid_identity", "identity token has no iat");
  if ((iat ?? 0) >= exp || (nbf ?? 0) >= exp) throw new StintError("invalid_identity", "identity token ends before it begins");
  const usableUntil = Math.min(exp, (iat ?? Infinity) + maxAgeMs) + SKEW_MS;
  if (now >= exp + SKEW_MS)
    throw new StintError("token_expired", `ID token expired ${span(now - exp)} before arrival; fetch it right before use`);
  if (now >= usableUntil) {
    const age = span(now - (iat ?? now));
    throw new StintError(
      "token_expired",
      `ID token was made ${age} before arrival, and ${span(maxAgeMs)} is allowed; fetch it right before use`,
    );
  }
  const ahead = Math.max(iat ?? 0, nbf ?? 0) - now;
  if (ahead > SKEW_MS) {
    throw new StintError(
      "clock_skew",
      `ID token is valid only ${span(ahead)} from now; the clock of its issuer or of this broker is wrong`,
    );
  }
  return { expiresAt: exp, usableUntil };
}

/** A NumericDate in milliseconds: whole seconds, as a number (RFC 7519 section 2). */
function instant(claims: Claims, name: string): number | undefined {
  const value = claims[name];
  if (value === undefined) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > LATEST) {
    throw new StintError("invalid_identity", `identity token's ${name} is not a whole number of seconds`);
  }
  return value * 1000;
}

/** Short spans in seconds, as people compare them with clocks. */
const span = (ms: number): string => (ms <= 600_000 ? `${Math.round(ms / 1000)} s` : formatDuration(ms));
