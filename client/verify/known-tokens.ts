import { BoundedCache } from "./cache.ts";
import { checkClaims, type AccessTokenClaims, type CheckedClaims } from "./claims.ts";
import { VerifyError } from "./errors.ts";
import { freeze } from "./freeze.ts";
import type { JsonObject } from "./json.ts";
import type { VerifyKey } from "./jwks.ts";
import { RemoteKeys } from "./keys.ts";
import type { LeaseHash } from "./lease-hash.ts";
import type { LeaseId } from "./lease-id.ts";
import type { Marked } from "./marks.ts";
import type { VerifierSettings } from "./options.ts";
import { isSignedBy } from "./signature.ts";
import { readClaims, readHeader, type TokenHeader } from "./token.ts";

/** A request that is honoured. Shared between requests with the same token, hence frozen. */
export interface Verified {
  readonly token: string;
  readonly header: JsonObject;
  readonly payload: AccessTokenClaims;
  readonly scopes: readonly string[];
  /** Headers to answer with, where a proof of possession asks for some. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What is known of a token for as long as its key is its issuer's: everything but time, proof and revocation. */
export interface KnownToken {
  readonly verified: Verified;
  readonly checked: CheckedClaims;
  readonly key: VerifyKey;
  readonly hash: LeaseHash;
  readonly marked: Marked;
  readonly bytes: number;
}

export interface KnownTokensState {
  readonly keys: { readonly count: number; readonly ageMs: number | undefined };
  readonly cache: { readonly entries: number; readonly bytes: number };
}

/** Headers of tokens that are remembered: one for each key that has signed lately. */
const MAX_HEADERS = 32;

/** Tokens whose signature and claims were good. Only good ones are kept, so nobody can fill the memory with others. */
export class KnownTokens {
  readonly #settings: VerifierSettings;
  readonly #hash: (id: LeaseId) => LeaseHash;
  readonly #keys: RemoteKeys;
  readonly #cache: BoundedCache<KnownToken>;
  readonly #headers = new Map<string, TokenHeader>();

  constructor(settings: VerifierSettings, hash: (id: LeaseId) => LeaseHash) {
    this.#settings = settings;
    this.#hash = hash;
    this.#keys = new RemoteKeys(settings);
    this.#cache = new BoundedCache(settings.cacheEntries, settings.cacheBytes);
  }

  /** Reads the issuer's keys before they are needed. Throws `keys_unavailable`. */
  prepare(): Promise<void> {
    return this.#keys.prepare();
  }

  state(): KnownTokensState {
    const { count, ageMs } = this.#keys;
    return {
      keys: { count, ageMs: Number.isFinite(ageMs) ? Math.round(ageMs) : undefined },
      cache: { entries: this.#cache.size, bytes: this.#cache.bytes },
    };
  }

  /** What a token says, from memory or by verifying it. Throws VerifyError. */
  async read(token: string): Promise<KnownToken> {
    const due = this.#keys.refresh();
    if (due !== undefined) await due;
    return this.#recall(token) ?? (await this.#learn(token));
  }

  forget({ verified, bytes }: KnownToken): void {
    this.#cache.delete(verified.token, bytes);
  }

  clear(): void {
    this.#cache.clear();
    this.#headers.clear();
  }

  #recall(token: string): KnownToken | undefined {
    const known = this.#cache.get(token);
    if (known === undefined) return undefined;
    if (!this.#keys.holds(known.key)) {
      this.forget(known);
      return undefined;
    }
    if (this.#cache.isAgeing(token)) this.#cache.set(token, known, known.bytes);
    return known;
  }

  async #learn(token: string): Promise<KnownToken> {
    const header = readHeader(token, this.#headers);
    if (!this.#settings.algorithms.includes(header.alg)) throw new VerifyError("algorithm_refused");
    const key = await this.#keys.find(header.kid, header.alg);
    // the claims are read while the signature is checked elsewhere; nothing of them, not even what is wrong with them, leaves this
    // function unless it is good
    const signed = isSignedBy(key, token);
    const read = this.#attempt(token, header, key);
    if (!(await signed)) throw new VerifyError("bad_signature");
    if (read instanceof VerifyError) throw read;
    if (this.#headers.size < MAX_HEADERS) this.#headers.set(header.text, header);
    this.#cache.set(token, read, read.bytes);
    return read;
  }

  #attempt(token: string, header: TokenHeader, key: VerifyKey): KnownToken | VerifyError {
    const { issuer, audience, toleranceSeconds } = this.#settings;
    try {
      const checked = checkClaims(readClaims(token), { issuer, audiences: [audience], toleranceSeconds });
      const { claims, lease } = checked;
      const { sub, grant, scope = "" } = claims;
      const scopes = scope.split(" ").filter((one) => one !== "");
      const verified: Verified = freeze({ token, header: header.members, payload: claims, scopes });
      const marked: Marked = { instant: lease.instant, subject: sub, trust: sub.split(":", 1)[0] ?? "", grant, kid: key.kid };
      // the token stands in memory as a text, its claims again as objects
      return { verified, checked, key, hash: this.#hash(lease), marked, bytes: token.length * 4 + 1024 };
    } catch (error) {
      if (error instanceof VerifyError) return error;
      throw error;
    }
  }
}
