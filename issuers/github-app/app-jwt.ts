import { createPrivateKey, type KeyObject } from "node:crypto";
import { SignJWT } from "jose";
import { PermanentFailure } from "../../domain/credential.ts";
import type { Secret } from "../../domain/secret.ts";
import { toSeconds } from "../../domain/time.ts";

/** GitHub's clock may be behind ours by this much (its own advice). */
const BACKDATED_SECONDS = 60;

/**
 * A JWT with which the App speaks for itself, RS256, valid until `until` (milliseconds; GitHub takes ten minutes at most). Throws
 * PermanentFailure when the key is none.
 */
export async function appJwt(app: string, pem: Secret, now: number, until: number): Promise<string> {
  const key = rsaKey(pem);
  return new SignJWT({})
    .setProtectedHeader({ alg: "RS256", typ: "JWT" })
    .setIssuer(app)
    .setIssuedAt(toSeconds(now) - BACKDATED_SECONDS)
    .setExpirationTime(toSeconds(until))
    .sign(key);
}

/** GitHub hands keys out as PKCS#1, which node:crypto reads and jose does not. */
function rsaKey(pem: Secret): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem.reveal());
  } catch {
    throw new PermanentFailure("private_key is no private key in PEM: download it from the App's settings at GitHub");
  }
  if (key.asymmetricKeyType !== "rsa" || (key.asymmetricKeyDetails?.modulusLength ?? 0) < 2048)
    throw new PermanentFailure("private_key is no RSA key of at least 2048 bits, as GitHub makes them");
  return key;
}
