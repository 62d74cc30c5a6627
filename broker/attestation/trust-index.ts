import { StintError } from "../../domain/errors.ts";
import type { Claims } from "../../domain/principal.ts";
import { parseSpiffeId } from "../../domain/spiffe-id.ts";
import type { Policy, Trust } from "../policy/policy.ts";

/** Trusts by the `iss` they compare with; `spiffe` ones by their trust domain. */
export interface TrustIndex {
  readonly byIssuer: ReadonlyMap<string, readonly Trust[]>;
  readonly byTrustDomain: ReadonlyMap<string, readonly Trust[]>;
}

/** Built once per policy. */
export function indexTrusts(trusts: Policy["trusts"]): TrustIndex {
  const byIssuer = new Map<string, Trust[]>();
  const byTrustDomain = new Map<string, Trust[]>();
  for (const trust of trusts.values()) {
    const [index, key] = trust.preset === "spiffe" ? [byTrustDomain, parseSpiffeId(trust.issuer)?.trustDomain] : [byIssuer, trust.issuer];
    if (key === undefined) continue;
    const list = index.get(key);
    if (list) list.push(trust);
    else index.set(key, [trust]);
  }
  return { byIssuer, byTrustDomain };
}

/**
 * The trust that answers for a token, by its exact issuer (or the trust domain of its `sub`) and audience. Whoever is not found here
 * costs nobody outside a call. Throws `invalid_identity issuer_unknown audience_mismatch`.
 */
export function pickTrust(index: TrustIndex, claims: Claims): Trust {
  const audiences = readAudiences(claims["aud"]);
  const named = trustsNamed(index, claims);
  const trust = named.find((candidate) => audiences.every((audience) => candidate.audiences.includes(audience)));
  if (trust) return trust;
  throw new StintError("audience_mismatch", audienceMessage(audiences, named));
}

function trustsNamed(index: TrustIndex, claims: Claims): readonly Trust[] {
  const { iss, sub } = claims;
  if (iss !== undefined && (typeof iss !== "string" || iss === ""))
    throw new StintError("invalid_identity", "identity token's iss is not a text");
  const byIssuer = iss === undefined ? undefined : index.byIssuer.get(iss);
  if (byIssuer) return byIssuer;
  if (typeof sub === "string" && /^spiffe:/i.test(sub)) return byTrustDomain(index, sub);
  if (iss === undefined) throw new StintError("invalid_identity", "identity token has no iss");
  const slash = index.byIssuer.has(`${iss}/`) || (iss.endsWith("/") && index.byIssuer.has(iss.slice(0, -1)));
  throw new StintError(
    "issuer_unknown",
    `issuer${quoted(iss)} is not trusted here`,
    {},
    slash ? { cause: new Error("a trust differs from this issuer by a trailing slash only") } : {},
  );
}

function byTrustDomain(index: TrustIndex, sub: string): readonly Trust[] {
  const id = parseSpiffeId(sub);
  if (!id) throw new StintError("invalid_identity", "identity token's sub is not a valid SPIFFE ID");
  if (id.path === "") throw new StintError("invalid_identity", "identity token's sub names a trust domain, not a workload");
  const trusts = index.byTrustDomain.get(id.trustDomain);
  if (!trusts) throw new StintError("issuer_unknown", `trust domain${quoted(id.trustDomain)} is not trusted here`);
  return trusts;
}

/** One text or a list of texts (RFC 7519 section 4.1.3). */
function readAudiences(aud: unknown): readonly string[] {
  const list: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  if (aud === undefined) throw new StintError("invalid_identity", "identity token has no aud");
  if (list.length === 0) throw new StintError("audience_mismatch", "identity token is for no audience; ask for one made for this broker");
  if (list.length > 20 || !list.every((one): one is string => typeof one === "string" && one !== "")) {
    throw new StintError("invalid_identity", "identity token's aud is malformed");
  }
  return list;
}

/** A token that other services accept too is theirs to replay here, so every audience must be ours. */
function audienceMessage(audiences: readonly string[], named: readonly Trust[]): string {
  const ours = audiences.filter((audience) => named.some((trust) => trust.audiences.includes(audience)));
  if (ours.length > 0) return "token is also for other audiences; ask for one made for this broker alone";
  const [first = ""] = audiences;
  return `token is for${quoted(first) || " another audience"}; this broker needs one made for the audience in its metadata`;
}

/** A value of an unverified token, only where it is short and plain: no quotes, escapes or anything a terminal acts on. */
function quoted(value: string): string {
  return /^[A-Za-z0-9._~:/?#@!$&()*+,;=-]{1,200}$/.test(value) ? ` \`${value}\`` : "";
}
