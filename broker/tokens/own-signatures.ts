import { signCompact, type FastAlgorithm, type FastSigningKey } from "../../issuers/jwt/fast-sign.ts";
import { openOwn, type OwnKeys, type SignedToken } from "./own-tokens.ts";

/** Signs with the broker's own keys and knows its own signatures again. */
export interface OwnSignatures {
  sign(typ: string, payload: Readonly<Record<string, unknown>>): Promise<string>;
  /** Undefined unless one of our published keys signed it. Signature only: what the payload means is the caller's to check. */
  verify(token: string): Promise<SignedToken | undefined>;
}

/** Over the store's signing keys; ES256, the cheapest to sign. */
export function ownSignatures(keys: OwnKeys & { current(alg: FastAlgorithm): Promise<FastSigningKey> }): OwnSignatures {
  return {
    sign: async (typ, payload) => signCompact(await keys.current("ES256"), typ, payload),
    verify: async (token) => {
      const opened = await openOwn(token, keys);
      return typeof opened === "string" ? undefined : opened;
    },
  };
}
