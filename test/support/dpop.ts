import { hash, randomUUID } from "node:crypto";
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTHeaderParameters } from "jose";

/** A key of a client, and proofs made with it: each test changes the one thing it is about. */
export interface ProofMaker {
  readonly jwk: JWK;
  readonly privateKey: CryptoKey;
  readonly thumbprint: string;
  /** A good proof for the request, but for what is changed. Undefined takes a member away. */
  proof(change?: ProofChange): Promise<string>;
}

export interface ProofChange {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
  /** Adds its `ath`. */
  readonly token?: string;
  readonly signWith?: CryptoKey;
}

export interface ProofFor {
  readonly method: string;
  readonly url: string;
  readonly now: () => number;
  readonly nonce: () => string | undefined;
}

export async function proofMaker(request: ProofFor, alg = "ES256"): Promise<ProofMaker> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = await exportJWK(publicKey);
  return {
    jwk,
    privateKey,
    thumbprint: await calculateJwkThumbprint(jwk),
    async proof({ claims = {}, header = {}, token, signWith = privateKey } = {}) {
      const nonce = request.nonce();
      const payload = {
        jti: randomUUID(),
        htm: request.method,
        htu: request.url,
        iat: Math.floor(request.now() / 1000),
        ...(nonce === undefined ? {} : { nonce }),
        ...(token === undefined ? {} : { ath: hash("sha256", token, "base64url") }),
        ...claims,
      };
      const protectedHeader: JWTHeaderParameters = { typ: "dpop+jwt", jwk, ...header, alg };
      return new SignJWT(JSON.parse(JSON.stringify(payload)) as Record<string, unknown>).setProtectedHeader(protectedHeader).sign(signWith);
    },
  };
}
