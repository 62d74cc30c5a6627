import type { IssueOrder, Issued, Issuer } from "../../domain/credential.ts";
import { confirmationOf } from "../../domain/possession.ts";
import { Secret } from "../../domain/secret.ts";
import { toSeconds } from "../../domain/time.ts";
import { FEDERATION_TOKEN_TYPE } from "./federation.ts";
import { signCompact, type FastAlgorithm, type FastSigningKey } from "./fast-sign.ts";
import { jwtParams, type JwtParams } from "./params.ts";

/** Where signing keys come from; the store's `SigningKeys` fits. */
export interface SigningKeySource {
  current(alg: FastAlgorithm): Promise<FastSigningKey>;
  /** Id of the key that `current` would give. */
  kidNow(alg: FastAlgorithm): string | undefined;
}

export interface JwtIssuerOptions {
  /** `iss`: `STINT_URL`, byte for byte. */
  readonly issuer: string;
  readonly keys: SigningKeySource;
}

/** RFC 9068 section 2.1. */
export const ACCESS_TOKEN_TYPE = "at+jwt";
const DAY_MS = 86_400_000;
/** Registries and clouds whose clock is a little behind refuse a token from the future. */
const NOT_BEFORE_SECONDS = 5;

/**
 * Signs access tokens (RFC 9068), and identity tokens for those who federate with us. Nothing exists outside that could be undone: a token dies with its lease wherever a verifier
 * asks us, and everywhere else by its own `exp`, so `expiry_only` is what this issuer alone can promise.
 */
export function jwtIssuer({ issuer, keys }: JwtIssuerOptions): Issuer<JwtParams> {
  const sign = async (order: IssueOrder<JwtParams>): Promise<Issued> => {
    const key = await keys.current(order.params.alg);
    if (order.params.profile === "federation") {
      const token = new Secret(signCompact(key, FEDERATION_TOKEN_TYPE, identityOf(order, issuer)));
      return { credential: { type: "jwt", token, tokenType: "jwt", facts: { profile: "federation" } } };
    }
    const token = new Secret(signCompact(key, ACCESS_TOKEN_TYPE, claimsOf(order, issuer)));
    return { credential: { type: "jwt", token }, boundTo: order.key };
  };
  return {
    kind: "jwt",
    params: jwtParams(issuer),
    maxTtlMs: DAY_MS,
    revocation: "expiry_only",
    computesOnly: true,
    tokenType: ({ profile }) => (profile === "federation" ? "jwt" : "access_token"),
    keyId: (params) => keys.kidNow(params.alg),
    issue: sign,
    renew: sign,
    revoke: async () => "revoked",
  };
}

/**
 * The claims, ours last: what a grant adds can never stand in for what we say. `sub` is the workload's alone and the same in every
 * run, for relying parties compare it; `azp` is never there, for AWS would take it for the audience.
 */
function identityOf(order: IssueOrder<JwtParams>, issuer: string): Record<string, unknown> {
  const iat = toSeconds(order.issuedAt);
  const claims: Record<string, unknown> = {
    ...order.params.claims,
    iss: issuer,
    sub: order.subject,
    aud: order.params.audience,
    exp: toSeconds(order.expiresAt),
    iat,
    nbf: iat - NOT_BEFORE_SECONDS,
    jti: order.jti,
    lease_id: order.leaseId,
    task_id: order.taskId,
    grant: order.grant,
    workload: order.workload,
  };
  if (order.status !== undefined) claims["status"] = { status_list: order.status };
  return claims;
}

/** RFC 9068: the same, for a client, with scopes, a purpose and the key it is bound to. */
function claimsOf(order: IssueOrder<JwtParams>, issuer: string): Readonly<Record<string, unknown>> {
  const claims = identityOf(order, issuer);
  claims["client_id"] = order.subject;
  claims["scope"] = order.scope.join(" ");
  if (order.purpose !== undefined && order.purpose !== "") claims["purpose"] = order.purpose;
  return Object.assign(claims, confirmationOf(order.key));
}
