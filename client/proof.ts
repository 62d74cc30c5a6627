import { createHash, randomUUID } from "node:crypto";
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from "jose";
import type { Clock } from "../domain/time.ts";
import { unverifiedClaims } from "./claims.ts";

interface ProofKey {
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
  readonly thumbprint: string;
}

/** Makes DPoP proofs (RFC 9449 section 4.2) with a key that never leaves this process. */
export class Prover {
  readonly #clock: Clock;
  #key: Promise<ProofKey> | undefined;
  /** The last nonce of each origin. */
  readonly #nonces = new Map<string, string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** RFC 7638 thumbprint of the key: `cnf.jkt` of what is bound to it. */
  async thumbprint(): Promise<string> {
    return (await this.#made()).thumbprint;
  }

  /** A proof for one request; `token` where it goes in Authorization and is bound to the key. */
  async proof(method: string, url: string, token?: string): Promise<string> {
    const { privateKey, jwk } = await this.#made();
    const target = new URL(url);
    const nonce = this.#nonces.get(target.origin);
    const claims = {
      jti: randomUUID(),
      htm: method,
      htu: target.origin + target.pathname,
      ...(nonce === undefined ? {} : { nonce }),
      ...(token === undefined ? {} : { ath: createHash("sha256").update(token).digest("base64url") }),
    };
    const iat = Math.floor(this.#clock() / 1000);
    return new SignJWT(claims).setIssuedAt(iat).setProtectedHeader({ alg: "ES256", typ: "dpop+jwt", jwk }).sign(privateKey);
  }

  /** Remembers the nonce that an answer brought, if it brought one. */
  note(url: string, headers: Headers): void {
    const nonce = headers.get("dpop-nonce");
    if (nonce !== null) this.#nonces.set(new URL(url).origin, nonce);
  }

  /** Authorization for a token: `DPoP` with its proof where it is bound to this key, else `Bearer` with a proof beside it. */
  async authorize(method: string, url: string, token: string): Promise<{ readonly authorization: string; readonly dpop: string }> {
    const bound = boundTo(token) === (await this.thumbprint());
    if (bound) return { authorization: `DPoP ${token}`, dpop: await this.proof(method, url, token) };
    return { authorization: `Bearer ${token}`, dpop: await this.proof(method, url) };
  }

  #made(): Promise<ProofKey> {
    this.#key ??= makeKey();
    return this.#key;
  }
}

async function makeKey(): Promise<ProofKey> {
  const { privateKey, publicKey } = await generateKeyPair("ES256");
  const jwk = await exportJWK(publicKey);
  return { privateKey, jwk, thumbprint: await calculateJwkThumbprint(jwk) };
}

/** The key that a JWT says it is bound to, by its own unverified word: it only chooses how to present it. */
export function boundTo(token: string): string | undefined {
  const cnf = unverifiedClaims(token)?.["cnf"];
  return typeof cnf === "object" && cnf !== null && "jkt" in cnf && typeof cnf.jkt === "string" ? cnf.jkt : undefined;
}
