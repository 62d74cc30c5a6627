import { StintError } from "../../domain/errors.ts";
import type { Clock } from "../../domain/time.ts";
import { type KeySet, type VerifyKey, findKey } from "./jwks.ts";
import type { KeySource } from "./key-source.ts";

/** The part of a logger that attestation uses: facts first, then a constant message. */
export interface AttestationLog {
  warn(facts: object, message: string): void;
}

/** Keys older than this are fetched again before they are used, unless the last try failed. */
export const KEYS_MAX_AGE_MS = 600_000;
/** From this age on they are fetched again while they are used. */
const KEYS_REFRESH_MS = 300_000;
/** Without a good answer they are used up to this age, then not at all. */
export const KEYS_MAX_STALE_MS = 3_600_000;
/** Between two calls to a provider, whatever strangers send and whether it answered or not. */
export const KEYS_COOLDOWN_MS = 30_000;
/** Between two looks at a file. */
const FILE_CHECK_MS = 1_000;

/** How a trust's keys stand; for readiness and people. Times are milliseconds. */
export interface KeysState {
  readonly trust: string;
  readonly keys: number;
  readonly fetchedAt: number | undefined;
  readonly lastError: string | undefined;
}

/**
 * The keys of one trust, and of no other: a cache with one fetch in flight, a cooldown, a bound on staleness. Only a key that is
 * missing, or keys that are too old, make a caller wait.
 */
export class TrustKeys {
  readonly #trust: string;
  readonly #source: KeySource;
  readonly #clock: Clock;
  readonly #log: AttestationLog | undefined;
  #set: KeySet | undefined;
  #fetchedAt = 0;
  #triedAt: number | undefined;
  #lastError: string | undefined;
  #inFlight: Promise<void> | undefined;

  constructor(trust: string, source: KeySource, clock: Clock, log: AttestationLog | undefined) {
    this.#trust = trust;
    this.#source = source;
    this.#clock = clock;
    this.#log = log;
  }

  /** The key that must have signed. Answers at once while it is known and fresh. Throws `invalid_identity`, `identity_keys_unavailable`. */
  find(kid: string | undefined, algorithm: string): VerifyKey | Promise<VerifyKey> {
    const age = this.#age();
    if (age >= this.#refreshAfter()) {
      const tried = this.#refresh();
      const mustWait = age >= KEYS_MAX_STALE_MS || (age >= KEYS_MAX_AGE_MS && this.#lastError === undefined) || !this.#source.remote;
      if (tried && mustWait) return tried.then(() => this.#choose(kid, algorithm));
    }
    const known = this.#set && this.#age() < KEYS_MAX_STALE_MS ? findKey(this.#set, kid, algorithm) : undefined;
    if (known) return known;
    const tried = this.#refresh();
    return tried ? tried.then(() => this.#choose(kid, algorithm)) : this.#choose(kid, algorithm);
  }

  /** Forgets everything, cooldown included: the next token fetches anew. For a provider whose key was stolen. */
  forget(): void {
    this.#set = undefined;
    this.#triedAt = undefined;
    this.#lastError = undefined;
    this.#inFlight = undefined;
  }

  state(): KeysState {
    return { trust: this.#trust, keys: this.#set?.keys.length ?? 0, fetchedAt: this.#set && this.#fetchedAt, lastError: this.#lastError };
  }

  #age(): number {
    if (!this.#set) return Infinity;
    const age = this.#clock() - this.#fetchedAt;
    return age >= 0 ? age : Infinity; // a clock that went back says nothing about freshness
  }

  #refreshAfter(): number {
    return this.#source.remote ? KEYS_REFRESH_MS : FILE_CHECK_MS;
  }

  #choose(kid: string | undefined, algorithm: string): VerifyKey {
    if (!this.#set || this.#age() >= KEYS_MAX_STALE_MS) throw this.#unavailable();
    const key = findKey(this.#set, kid, algorithm);
    if (key) return key;
    // While the provider can't be asked, nobody knows whether the key is new or made up.
    if (this.#lastError !== undefined) throw this.#unavailable();
    throw new StintError("invalid_identity", "identity token is signed with a key that its issuer does not publish");
  }

  #unavailable(): StintError {
    const since = this.#triedAt === undefined ? KEYS_COOLDOWN_MS : this.#clock() - this.#triedAt;
    const retryAfterSeconds = Math.max(1, Math.ceil(Math.min(KEYS_COOLDOWN_MS, KEYS_COOLDOWN_MS - since) / 1000));
    return new StintError(
      "identity_keys_unavailable",
      "the keys of this token's issuer can't be had at the moment; this is not a decision and nothing was issued; try again later",
      { retryAfterSeconds },
      { cause: this.#lastError },
    );
  }

  /** Starts a fetch, or joins the one in flight; undefined while the cooldown lasts. Never rejects. */
  #refresh(): Promise<void> | undefined {
    if (this.#inFlight) return this.#inFlight;
    const now = this.#clock();
    const pause = this.#source.remote ? KEYS_COOLDOWN_MS : FILE_CHECK_MS;
    const since = this.#triedAt === undefined ? Infinity : now - this.#triedAt;
    if (since >= 0 && since < pause) return undefined;
    this.#triedAt = now;
    const flight: Promise<void> = this.#fetch(() => this.#inFlight === flight).finally(() => {
      if (this.#inFlight === flight) this.#inFlight = undefined;
    });
    this.#inFlight = flight;
    return flight;
  }

  /** `current` turns false when somebody forgot the keys meanwhile; then the answer is too old to keep. */
  async #fetch(current: () => boolean): Promise<void> {
    try {
      const answer = await this.#source.fetch();
      if (!current()) return;
      if (answer !== "unchanged") this.#set = answer;
      this.#fetchedAt = this.#clock();
      this.#lastError = undefined;
    } catch (error) {
      if (!current()) return;
      this.#lastError = error instanceof Error ? error.message : "failed";
      this.#log?.warn(
        { trust: this.#trust, error: this.#lastError, keysAgeMs: this.#set ? this.#clock() - this.#fetchedAt : undefined },
        "identity keys could not be fetched",
      );
    }
  }
}
