import { exportJWK, generateKeyPair, SignJWT, type JSONWebKeySet } from "jose";
import { randomUUID } from "node:crypto";
import type { Clock } from "../../../domain/time.ts";

/** No such host: only the key set in the configuration makes it believed, and only by a broker to play with. */
export const DEV_ISSUER = "https://identity.dev.invalid";

/** An identity provider without a server: its key lives as long as this process. */
export interface DevIdentity {
  readonly jwks: JSONWebKeySet;
  /** Evidence of the toy job for a broker, good for five minutes. */
  token(audience: string, claims?: Readonly<Record<string, unknown>>): Promise<string>;
}

export async function devIdentity(clock: Clock): Promise<DevIdentity> {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const kid = randomUUID();
  return {
    jwks: { keys: [{ ...(await exportJWK(publicKey)), kid, alg: "ES256", use: "sig" }] },
    token: (audience, claims = {}) => {
      const now = Math.floor(clock() / 1000);
      return new SignJWT({ branch: "main", ...claims })
        .setProtectedHeader({ alg: "ES256", kid })
        .setIssuer(DEV_ISSUER)
        .setSubject("toy-job")
        .setAudience(audience)
        .setIssuedAt(now)
        .setExpirationTime(now + 300)
        .setJti(randomUUID())
        .sign(privateKey);
    },
  };
}
