import { hash } from "node:crypto";
import { signCompact, type FastAlgorithm, type FastSigningKey } from "../../issuers/jwt/fast-sign.ts";
import { openOwn, type OwnKeys, type SignedToken } from "./own-tokens.ts";

/** Signs with the broker's own keys and knows its own signatures again. */
export interface OwnSignatures {
  sign(typ: string, payload: Readonly<Record<string, unknown>>): Promise<string>;
  /** Undefined unless one of our published keys signed it. Signature only: what the payload means is the caller's to check. */
  verify(token: string): Promise<SignedToken | undefined>;
  /** A token with this SHA-256 (hex) has just been signed here: its signature need not be worked out to be known. */
  made(sha256: string): void;
}

/**
 * Over the store's signing keys; ES256, the cheapest to sign. A token whose every letter was signed or verified here before is known by
 * its SHA-256. Its key must still be published, and what it says is read anew each time: only the arithmetic is not done twice.
 */
export function ownSignatures(keys: OwnKeys & { current(alg: FastAlgorithm): Promise<FastSigningKey> }): OwnSignatures {
  const known = new Recent(KNOWN);
  return {
    sign: async (typ, payload) => signCompact(await keys.current("ES256"), typ, payload),
    async verify(token) {
      const sha256 = hash("sha256", token, "hex");
      const isKnown = known.has(sha256);
      const opened = await openOwn(token, keys, isKnown);
      if (typeof opened === "string") return undefined;
      if (!isKnown) known.add(sha256);
      return opened;
    },
    made: (sha256) => known.add(sha256),
  };
}

/** So many tokens are remembered, 130 bytes each; up to twice as many until the older half is forgotten. */
const KNOWN = 50_000;

/** The last names that were added or asked for, in two generations. */
class Recent {
  readonly #most: number;
  #young = new Set<string>();
  #old = new Set<string>();

  constructor(most: number) {
    this.#most = most;
  }

  has(name: string): boolean {
    if (this.#young.has(name)) return true;
    if (!this.#old.has(name)) return false;
    this.add(name);
    return true;
  }

  add(name: string): void {
    this.#young.add(name);
    if (this.#young.size < this.#most) return;
    this.#old = this.#young;
    this.#young = new Set();
  }
}
