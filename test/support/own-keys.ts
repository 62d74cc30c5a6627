import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { calculateJwkThumbprint } from "jose";

export interface OwnKey {
  readonly kid: string;
  readonly alg: "ES256" | "RS256";
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** Signing keys in memory, shaped as the store's: for specs that need no Redis. */
export interface OwnKeyRing {
  current(alg: "ES256" | "RS256"): Promise<OwnKey>;
  kidNow(alg: "ES256" | "RS256"): string;
  find(kid: string): Promise<OwnKey | undefined>;
}

/** One key per algorithm. */
export async function ownKeys(): Promise<OwnKeyRing & { readonly es256: OwnKey; readonly rs256: OwnKey }> {
  const [es256, rs256] = await Promise.all([ownKey("ES256"), ownKey("RS256")]);
  return {
    es256,
    rs256,
    current: async (alg) => (alg === "ES256" ? es256 : rs256),
    kidNow: (alg) => (alg === "ES256" ? es256 : rs256).kid,
    find: async (kid) => [es256, rs256].find((key) => key.kid === kid),
  };
}

export async function ownKey(alg: "ES256" | "RS256"): Promise<OwnKey> {
  const pair = alg === "ES256" ? generateKeyPairSync("ec", { namedCurve: "P-256" }) : generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { kid: await calculateJwkThumbprint(pair.publicKey), alg, ...pair };
}
