import { createPrivateKey, createPublicKey, createSecretKey, generateKeyPair, randomBytes, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { calculateJwkThumbprint } from "jose";
import { StintError } from "../domain/errors.ts";
import { Secret } from "../domain/secret.ts";
import type { KeyAlgorithm, StoredKey } from "./key-set.ts";
import type { Sealer } from "./sealing.ts";

const generate = promisify(generateKeyPair);
/** A public JWK has these members and no others: nothing private can slip out by a library's change of mind. */
const PUBLIC_MEMBERS = ["kty", "crv", "x", "y", "n", "e"] as const;

/** A new key of this kind, its private part sealed. `kid` is the RFC 7638 thumbprint. */
export async function makeKey(alg: KeyAlgorithm, activeAt: number, now: number, sealer: Sealer): Promise<StoredKey> {
  const { publicKey, privateKey } = await keyPair(alg);
  const jwk = publicKey.export({ format: "jwk" });
  const members = PUBLIC_MEMBERS.flatMap((name) => (typeof jwk[name] === "string" ? [[name, jwk[name]] as const] : []));
  const publicJwk: Record<string, string> = Object.fromEntries(members);
  const kid = await calculateJwkThumbprint(publicJwk, "sha256");
  const sealed = sealer.seal("signing-key", kid, new Secret(privateKey.export({ format: "pem", type: "pkcs8" }).toString()));
  const task = alg === "ES256" ? sealer.seal("task-secret", kid, new Secret(randomBytes(32).toString("base64url"))) : null;
  const noted = activeAt <= now ? "active" : "announced";
  return { kid, alg, public: publicJwk, sealed, task, createdAt: now, activeAt, retiredAt: null, withdrawnAt: null, noted };
}

function keyPair(alg: KeyAlgorithm): Promise<{ readonly publicKey: KeyObject; readonly privateKey: KeyObject }> {
  if (alg === "ES256") return generate("ec", { namedCurve: "P-256" });
  if (alg === "RS256") return generate("rsa", { modulusLength: 2048 });
  return generate("ed25519");
}

export const importPublic = (key: StoredKey): KeyObject => createPublicKey({ key: key.public, format: "jwk" });

/** Opens and imports the private part. Throws `server_error` when there is none or no master key opens it. */
export function importPrivate(key: StoredKey, sealer: Sealer): KeyObject {
  if (key.sealed === null) throw new StintError("server_error", `The private part of signing key ${key.kid} was destroyed.`);
  return createPrivateKey(sealer.open("signing-key", key.kid, key.sealed).reveal());
}

/** Opens the secret that signs task tokens; undefined where there is none (any more). Throws `server_error` when no master key opens it. */
export function importTaskSecret(key: StoredKey, sealer: Sealer): KeyObject | undefined {
  if (key.task === null) return undefined;
  return createSecretKey(Buffer.from(sealer.open("task-secret", key.kid, key.task).reveal(), "base64url"));
}

/** The key as a JWKS shows it. */
export const publicJwk = (key: StoredKey): Readonly<Record<string, string>> => ({ ...key.public, kid: key.kid, alg: key.alg, use: "sig" });
