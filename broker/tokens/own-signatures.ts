import { hash } from "node:crypto";
import { signCompact, type FastAlgorithm, type FastSigningKey } from "../../issuers/jwt/fast-sign.ts";
import { openOwn, type OwnKeys, type SignedToken } from "./own-tokens.ts";
import { RecentSums } from "./recent-sums.ts";

/** Signs with the broker's own keys and knows its own signatures again. */
export interface OwnSignatures {
  sign(typ: string, payload: Readonly<Record<string, unknown>>): Promise<string>;
  /** Undefined unless one of our published keys signed it. Signature only: what the payload means is the caller's to check. */
  verify(token: string): Promise<SignedToken | undefined>;
  /** A token with this SHA-256 has just been signed here: its signature need not be worked out to be known. */
  made(sha256: Buffer): void;
}

/**
 * Over the store's signing keys; ES256, the cheapest to sign. A token whose every letter was signed or verified here before is known by
 * its SHA-256. Its key must still be published, and what it says is read anew each time: only the arithmetic is not done twice.
 */
export function ownSignatures(keys: OwnKeys & { current(alg: FastAlgorithm): Promise<FastSigningKey> }): OwnSignatures {
  const known = new RecentSums(KNOWN);
  return {
    sign: async (typ, payload) => signCompact(await keys.current("ES256"), typ, payload),
    async verify(token) {
      const sha256 = hash("sha256", token, "buffer");
      const isKnown = known.has(sha256);
      const opened = await openOwn(token, keys, isKnown);
      if (typeof opened === "string") return undefined;
      if (!isKnown) known.add(sha256);
      return opened;
    },
    made: (sha256) => known.add(sha256),
  };
}

/** So many tokens are remembered, in four megabytes. */
const KNOWN = 131_072;
