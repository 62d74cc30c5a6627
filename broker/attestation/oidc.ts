import { hash } from "node:crypto";
import { compactVerify } from "jose";
import { StintError } from "../../domain/errors.ts";
import type { Claims, Principal } from "../../domain/principal.ts";
import type { Clock } from "../../domain/time.ts";
import { verifyCompact } from "../../issuers/jwt/fast-sign.ts";
import type { Policy, Trust } from "../policy/policy.ts";
import type { Attestor } from "./attestor.ts";
import { type TokenTimes, checkTimes } from "./claim-times.ts";
import { checkConsistency } from "./consistency.ts";
import type { OutsideOptions } from "./fetch-outside.ts";
import type { VerifyKey } from "./jwks.ts";
import { type UnverifiedToken, parseToken } from "./jws.ts";
import { keySourceOf } from "./key-source.ts";
import { type AttestationLog, TrustKeys } from "./keys.ts";
import { presetOf } from "./presets.ts";
import { type TrustIndex, indexTrusts, pickTrust } from "./trust-index.ts";

export interface AttestorParts {
  /** The trusts in force; asked at every token, so that a reload counts at once. */
  readonly trusts: () => Policy["trusts"];
  readonly clock: Clock;
  readonly log?: AttestationLog;
  readonly outside?: OutsideOptions;
}

interface KnownTrusts {
  readonly from: Policy["trusts"];
  readonly index: TrustIndex;
}

/** The attestor for ID tokens, Kubernetes service accounts and JWT-SVIDs. */
export function createAttestor({ trusts, clock, log, outside = {} }: AttestorParts): Attestor {
  const keysOf = new Map<string, { readonly settings: string; readonly keys: TrustKeys }>();
  let known: KnownTrusts | undefined;

  function index(): TrustIndex {
    const now = trusts();
    if (known?.from !== now) {
      known = { from: now, index: indexTrusts(now) };
      for (const [name, entry] of keysOf) {
        const trust = now.get(name);
        // Keys fetched under other settings must not outlive them.
        if (!trust || keySettings(trust) !== entry.settings) keysOf.delete(name);
      }
    }
    return known.index;
  }

  function keys(trust: Trust): TrustKeys {
    const entry = keysOf.get(trust.name);
    if (entry) return entry.keys;
    const made = new TrustKeys(trust.name, keySourceOf(trust, clock, outside), clock, log);
    keysOf.set(trust.name, { settings: keySettings(trust), keys: made });
    return made;
  }

  return {
    async attest(token) {
      const parsed = parseToken(token);
      const trust = pickTrust(index(), parsed.claims);
      const spiffe = trust.preset === "spiffe";
      checkHeaderFor(trust, parsed);
      const times = checkTimes(parsed.claims, clock(), presetOf(trust.preset).maxAgeMs, spiffe);
      const found = keys(trust).find(parsed.kid, parsed.alg);
      const checked = checkSignature(token, parsed, found instanceof Promise ? await found : found);
      if (checked !== undefined) await checked;
      checkConsistency(trust, parsed.claims);
      return principal(trust, parsed, times);
    },
    forgetKeys(name) {
      for (const [trust, entry] of keysOf) if (name === undefined || name === trust) entry.keys.forget();
    },
    keys: () => [...keysOf.values()].map((entry) => entry.keys.state()),
  };
}

/** Everything about a trust that decides which keys it has. */
const keySettings = (trust: Trust): string =>
  JSON.stringify([
    trust.preset,
    trust.issuer,
    trust.algorithms,
    trust.keys,
    trust.privateNetwork,
    trust.insecureHttp,
    trust.caFile,
    trust.bearerFile,
  ]);

const SVID_HEADERS = new Set(["alg", "kid", "typ"]);

function checkHeaderFor(trust: Trust, parsed: UnverifiedToken): void {
  if (!trust.algorithms.includes(parsed.alg)) {
    throw new StintError("invalid_identity", "identity token's algorithm is not accepted from its issuer");
  }
  // JWT-SVID section 2: no other header parameters.
  if (trust.preset === "spiffe" && !parsed.headerNames.every((name) => SVID_HEADERS.has(name))) {
    throw new StintError("invalid_identity", "identity token's header has members that a JWT-SVID must not have");
  }
}

/**
 * ES256 and RS256 at once by `node:crypto`: jose hands each check to another thread, which costs as much again as the check itself.
 * Every other algorithm by jose. The token was taken apart strictly before: what is checked here is what was read.
 */
function checkSignature(
  token: string,
  { alg, signingInput, signature }: UnverifiedToken,
  { key, publicKey }: VerifyKey,
): undefined | Promise<void> {
  if (alg !== "ES256" && alg !== "RS256") return checkByJose(token, alg, key);
  let cause: unknown;
  try {
    if (verifyCompact({ alg, publicKey }, signingInput, signature)) return undefined;
  } catch (error) {
    cause = error;
  }
  throw badSignature(cause);
}

async function checkByJose(token: string, alg: string, key: VerifyKey["key"]): Promise<void> {
  try {
    await compactVerify(token, key, { algorithms: [alg] });
  } catch (error) {
    throw badSignature(error);
  }
}

const badSignature = (cause: unknown): StintError =>
  new StintError("invalid_identity", "identity token's signature does not verify", {}, { cause });

function principal(trust: Trust, { claims, signingInput }: UnverifiedToken, times: TokenTimes): Principal {
  const id = trust.renderId(claims);
  if (id === undefined) throw incomplete("id");
  const workload = trust.renderWorkload(claims);
  if (workload === undefined) throw incomplete("workload");
  return {
    trust: trust.name,
    subject: `${trust.name}:${id}`,
    workload,
    taskValue: trust.renderTask(claims),
    claims,
    evidence: { hash: evidenceName(trust, claims, signingInput), expiresAt: times.usableUntil, maxUses: trust.maxUses },
  };
}

/**
 * What counts as the same evidence. A single-use token is its `jti`, where it has one: two tokens with one `jti` are one. Others are
 * their content without the signature: an ECDSA signature can be rewritten into another valid one, which must not be another use.
 */
function evidenceName(trust: Trust, { iss, sub, jti }: Claims, signingInput: Buffer): string {
  const named = trust.maxUses === 1 && typeof jti === "string" && jti !== "";
  return hash("sha256", named ? JSON.stringify([iss, sub, jti]) : signingInput, "base64url");
}

const incomplete = (what: string): StintError =>
  new StintError(
    "identity_incomplete",
    `identity token lacks a claim that the trust's ${what} is made of, or its value is unfit for a name`,
  );
