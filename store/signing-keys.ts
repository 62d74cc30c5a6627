import type { KeyObject } from "node:crypto";
import { StintError } from "../domain/errors.ts";
import type { Clock } from "../domain/time.ts";
import { publicJwk } from "./key-material.ts";
import {
  KEY_TIMES,
  announcedKey,
  signerAt,
  stateOf,
  summarize,
  type KeyAlgorithm,
  type KeySet,
  type KeySummary,
  type KeyTimes,
  type StoredKey,
  type TokenAlgorithm,
} from "./key-set.ts";
import type { KeyCache, SigningKey } from "./key-cache.ts";

/** A key that a token of ours may have been signed with. */
export interface VerificationKey {
  readonly kid: string;
  readonly alg: TokenAlgorithm;
  readonly publicKey: KeyObject;
}

interface Signing {
  readonly set: KeySet;
  readonly from: number;
  readonly until: number;
  readonly key: SigningKey<TokenAlgorithm>;
  /** The same, for callers that wait: one promise for all of them. */
  readonly ready: Promise<SigningKey<TokenAlgorithm>>;
  task: Promise<TaskKey> | undefined;
}

/** What a task token is signed with, and the name it bears. */
export interface TaskKey {
  readonly kid: string;
  readonly secret: KeyObject;
}

/**
 * The signing keys that all brokers of one store share, for use. Answers come from memory, at most seconds old; nothing is read or
 * imported per call. Throws `store_unavailable` once they are older and Redis cannot be reached. `KeyRotation` changes them.
 */
export class SigningKeys {
  readonly #cache: KeyCache;
  readonly #clock: Clock;
  readonly #times: KeyTimes;
  /** Who signs now, until when: looked up once per change, not per token. */
  readonly #signing = new Map<TokenAlgorithm, Signing>();

  constructor(cache: KeyCache, clock: Clock, times: KeyTimes = KEY_TIMES) {
    this.#cache = cache;
    this.#clock = clock;
    this.#times = times;
  }

  /** The key that signs tokens of this algorithm now. From memory: nothing is read or imported per call. */
  current(alg: TokenAlgorithm): Promise<SigningKey<TokenAlgorithm>> {
    return this.#now(alg, this.#cache.fresh())?.ready ?? this.#findCurrent(alg);
  }

  async #findCurrent(alg: TokenAlgorithm): Promise<SigningKey<TokenAlgorithm>> {
    const set = await this.#cache.current();
    const held = this.#now(alg, set);
    if (held !== undefined) return held.key;
    const from = this.#clock();
    const key = this.#signer(set, alg);
    const until = announcedKey(set, alg, from)?.activeAt ?? Infinity;
    this.#signing.set(alg, { set, from, until, key, ready: Promise.resolve(key), task: undefined });
    return key;
  }

  /** What is remembered of who signs, where that was found in this very set and still is so. */
  #now(alg: TokenAlgorithm, set: KeySet | undefined): Signing | undefined {
    const held = this.#signing.get(alg);
    const now = this.#clock();
    return held !== undefined && held.set === set && now >= held.from && now < held.until ? held : undefined;
  }

  /** Id of the key that `current` gives, as far as memory knows; undefined before the first look at the store. */
  kidNow(alg: TokenAlgorithm): string | undefined {
    const set = this.#cache.held();
    const held = this.#now(alg, set);
    if (held !== undefined) return held.key.kid;
    return set && signerAt(set, alg, this.#clock())?.kid;
  }

  /** The key a token of ours names, while it is in the JWKS. A `kid` we do not know makes us read the store, once a second. */
  async find(kid: string): Promise<VerificationKey | undefined> {
    return this.#published(await this.#cache.current(), kid) ?? this.#published(await this.#cache.recent(), kid);
  }

  /** The secret that signs task tokens now, under the name of the ES256 key of the time. */
  currentTaskKey(): Promise<TaskKey> {
    const held = this.#now("ES256", this.#cache.fresh());
    if (held === undefined) return this.#findTaskKey();
    return (held.task ??= this.#findTaskKey());
  }

  async #findTaskKey(): Promise<TaskKey> {
    const { kid } = await this.current("ES256");
    const secret = await this.taskKey(kid);
    if (secret === undefined) throw new StintError("server_error", `Signing key ${kid} has no secret for task tokens. Rotate the keys.`);
    return { kid, secret };
  }

  /** The secret that goes with a key that is still published: withdrawn or destroyed, it knows no task token any more. */
  async taskKey(kid: string): Promise<KeyObject | undefined> {
    const set = await this.#cache.current();
    const find = (within: KeySet): StoredKey | undefined => within.keys.find((key) => key.kid === kid && this.#isPublished(key));
    const key = find(set) ?? find(await this.#cache.recent());
    return key === undefined ? undefined : this.#cache.taskSecret(key);
  }

  /** Every public key that verifiers may need: announced, active and retired. */
  async jwks(): Promise<{ readonly keys: readonly Readonly<Record<string, string>>[] }> {
    const set = await this.#cache.recent().catch((error: unknown) => this.#cache.lastKnown(error));
    return { keys: set.keys.filter((key) => this.#isPublished(key)).map(publicJwk) };
  }

  /** The key that signs audit checkpoints, and nothing else. */
  async checkpointKey(): Promise<SigningKey<"Ed25519">> {
    return this.#signer(await this.#cache.current(), "Ed25519");
  }

  /** Every checkpoint key there ever was, withdrawn ones marked: old checkpoints must stay verifiable. */
  async checkpointKeys(): Promise<readonly { readonly kid: string; readonly publicKey: KeyObject; readonly withdrawn: boolean }[]> {
    const { keys } = await this.#cache.recent();
    return keys
      .filter((key) => key.alg === "Ed25519")
      .map((key) => ({ kid: key.kid, publicKey: this.#cache.publicKey(key), withdrawn: key.withdrawnAt !== null }));
  }

  async list(): Promise<readonly KeySummary[]> {
    return summarize((await this.#cache.read()).set, this.#clock(), this.#times);
  }

  /** Reads the store now, for a caller who learnt that something changed (a lease refused as `superseded`). */
  async refresh(): Promise<void> {
    await this.#cache.read();
  }

  #signer<A extends KeyAlgorithm>(set: KeySet, alg: A): SigningKey<A> {
    const key = signerAt(set, alg, this.#clock());
    if (key === undefined)
      throw new StintError("server_error", `There is no ${alg} key to sign with. A broker of this store makes one within some seconds.`);
    return this.#cache.signing({ ...key, alg });
  }

  #published(set: KeySet, kid: string): VerificationKey | undefined {
    const key = set.keys.find((candidate) => candidate.kid === kid);
    return key !== undefined && key.alg !== "Ed25519" && this.#isPublished(key)
      ? { kid, alg: key.alg, publicKey: this.#cache.publicKey(key) }
      : undefined;
  }

  #isPublished(key: StoredKey): boolean {
    const state = stateOf(key, this.#clock(), this.#times);
    return key.alg !== "Ed25519" && state !== "destroyed" && state !== "withdrawn";
  }
}
