import type { VerifierClock } from "./clock.ts";
import { VerifyError } from "./errors.ts";
import { isObject, type JsonObject } from "./json.ts";
import { type LeaseId, parseLeaseId } from "./lease-id.ts";
import { MAX_LIFE_SECONDS } from "./revocations.ts";

/** Claims of an access token (RFC 9068) of ours, checked; whatever else it holds is beside them. */
export interface AccessTokenClaims {
  readonly iss: string;
  readonly sub: string;
  readonly aud: string | readonly string[];
  readonly exp: number;
  readonly iat: number;
  readonly nbf?: number;
  readonly jti: string;
  readonly client_id: string;
  readonly scope?: string;
  readonly lease_id: string;
  readonly task_id?: string;
  readonly grant: string;
  readonly workload?: string;
  readonly purpose?: string;
  readonly cnf?: Readonly<Record<string, unknown>>;
  readonly [claim: string]: unknown;
}

export interface ClaimRules {
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly toleranceSeconds: number;
}

/** What a token is bound to: a member of `cnf`, and the value that a proof must have. */
export interface Binding {
  readonly method: string;
  readonly value: string;
}

export interface CheckedClaims {
  readonly claims: AccessTokenClaims;
  readonly lease: LeaseId;
  readonly binding: Binding | undefined;
}

const TEXTS = ["sub", "jti", "client_id", "grant"] as const;
const OPTIONAL_TEXTS = ["scope", "task_id", "workload", "purpose"] as const;

/** Whose it is, for whom, and whether it says what it must (RFC 9068 section 4). Time is looked at later, each time. Throws VerifyError. */
export function checkClaims(claims: JsonObject, rules: ClaimRules): CheckedClaims {
  const { iss, aud, exp, iat, nbf } = claims;
  if (iss !== rules.issuer) throw new VerifyError("wrong_issuer");
  if (!isAudience(aud)) throw new VerifyError("claim_refused", { detail: "aud" });
  // by membership, whole values only: a prefix of our name is somebody else
  if (!rules.audiences.some((ours) => (typeof aud === "string" ? aud === ours : aud.includes(ours))))
    throw new VerifyError("wrong_audience");
  for (const name of TEXTS)
    if (typeof claims[name] !== "string" || claims[name] === "") throw new VerifyError("claim_refused", { detail: name });
  for (const name of OPTIONAL_TEXTS)
    if (claims[name] !== undefined && typeof claims[name] !== "string") throw new VerifyError("claim_refused", { detail: name });
  if (!isSecond(exp)) throw new VerifyError("claim_refused", { detail: "exp" });
  if (!isSecond(iat)) throw new VerifyError("claim_refused", { detail: "iat" });
  if (nbf !== undefined && !isSecond(nbf)) throw new VerifyError("claim_refused", { detail: "nbf" });
  // revocations are forgotten after the longest life that a lease may have, so nothing that claims a longer one is honoured
  if (exp <= iat || exp - iat > MAX_LIFE_SECONDS + rules.toleranceSeconds)
    throw new VerifyError("claim_refused", { detail: "exp is not after iat, or too long after it" });
  const lease = parseLeaseId(claims["lease_id"]);
  if (lease === undefined) throw new VerifyError("claim_refused", { detail: "lease_id" });
  return { claims: claims as AccessTokenClaims, lease, binding: bindingOf(claims["cnf"], lease.text) };
}

/** Its time by our clock, with the allowance, and by what the broker's clock has reached (milliseconds; 0: not known). */
export function checkTimes(
  { exp, iat, nbf, lease_id }: AccessTokenClaims,
  clock: VerifierClock,
  toleranceSeconds: number,
  asOf: number,
): void {
  const now = clock.now() / 1000;
  const more = { lease: lease_id };
  if (exp <= now - toleranceSeconds) throw new VerifyError("expired", more);
  // who signed it has seen its end: it needs no allowance then, and the feed may no longer speak of it
  if (exp * 1000 <= asOf) throw new VerifyError("expired", { ...more, detail: "by the issuer's clock" });
  if (iat > now + toleranceSeconds || (nbf ?? 0) > now + toleranceSeconds) throw new VerifyError("not_yet_valid", more);
}

const isSecond = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value) && value >= 0;

function isAudience(value: unknown): value is string | readonly string[] {
  return typeof value === "string" || (Array.isArray(value) && value.length <= 100 && value.every((one) => typeof one === "string"));
}

/** RFC 7800: one method exactly; of a binding that we cannot read we know only that a bare token is not enough. */
function bindingOf(cnf: unknown, lease: string): Binding | undefined {
  if (cnf === undefined) return undefined;
  const [entry, ...others] = isObject(cnf) ? Object.entries(cnf) : [];
  if (entry === undefined || others.length > 0 || typeof entry[1] !== "string" || entry[1] === "")
    throw new VerifyError("proof_needed", { lease, detail: "its cnf does not hold one method" });
  return { method: entry[0], value: entry[1] };
}
