import type { KeyObject } from "node:crypto";
import type { Clock } from "../domain/time.ts";
import { StintError } from "../domain/errors.ts";
import type { KeyDocuments } from "./key-documents.ts";
import { importPrivate, importPublic, importTaskSecret } from "./key-material.ts";
import { EMPTY, parseKeySet, type KeyAlgorithm, type KeySet, type StoredKey } from "./key-set.ts";
import type { Sealer } from "./sealing.ts";

/** A signing key, imported once and ready for use. */
export interface SigningKey<A extends KeyAlgorithm = KeyAlgorithm> {
  readonly kid: string;
  readonly alg: A;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export interface VersionedSet {
  readonly version: number;
  readonly set: KeySet;
}

/** Older than this, what is held is read again behind the caller's back. */
const REFRESH_MS = 5_000;
/** Older than this, nobody is answered from it. */
const STALE_MS = 30_000;
/** Public keys are shown from memory this long while the store is away: verifiers keep them that long anyway. */
const LAST_KNOWN_MS = 600_000;
/** An unknown `kid` is the caller's word: it makes us look at most this often. */
const COOLDOWN_MS = 1_000;

interface Imported {
  readonly publicKey: KeyObject;
  privateKey: KeyObject | undefined;
  taskSecret: KeyObject | undefined;
}

/** What this process knows of the signing keys: what the store held a moment ago, and the keys imported from it. */
export class KeyCache {
  readonly #documents: KeyDocuments;
  readonly #sealer: Sealer;
  readonly #clock: Clock;
  readonly #imported = new Map<string, Imported>();
  #held: (VersionedSet & { readonly readAt: number }) | undefined;
  #reading: Promise<VersionedSet> | undefined;
  #adopted = 0;

  constructor(documents: KeyDocuments, sealer: Sealer, clock: Clock) {
    this.#documents = documents;
    this.#sealer = sealer;
    this.#clock = clock;
  }

  /** The keys, at most 30 s old; usually at most 5 s. Throws `store_unavailable` when they are older and cannot be read. */
  async current(): Promise<KeySet> {
    const held = this.#held;
    if (held === undefined) return (await this.read()).set;
    const age = Math.abs(this.#clock() - held.readAt); // a clock that jumped back makes what we hold as doubtful as age
    if (age < REFRESH_MS) return held.set;
    if (age >= STALE_MS) return (await this.read()).set;
    void this.read().catch(() => undefined); // the next caller past the bound will hear of it
    return held.set;
  }

  /** What `current` would answer at once, if nothing has to be read for it. */
  fresh(): KeySet | undefined {
    const held = this.#held;
    return held !== undefined && Math.abs(this.#clock() - held.readAt) < REFRESH_MS ? held.set : undefined;
  }

  /** The keys as last read, however long ago that is; undefined before the first time. */
  held(): KeySet | undefined {
    return this.#held?.set;
  }

  /** The keys, read again unless that happened within the last second. For a `kid` we do not know, and for the JWKS. */
  async recent(): Promise<KeySet> {
    const held = this.#held;
    if (held !== undefined && Math.abs(this.#clock() - held.readAt) < COOLDOWN_MS) return held.set;
    return (await this.read()).set;
  }

  /** The keys as last read, for showing public keys while the store is away. Throws the reason when that was too long ago. */
  lastKnown(reason: unknown): KeySet {
    const held = this.#held;
    if (held === undefined || Math.abs(this.#clock() - held.readAt) > LAST_KNOWN_MS) throw reason;
    return held.set;
  }

  /** Reads now; callers at the same time share one trip. */
  read(): Promise<VersionedSet> {
    this.#reading ??= this.#load().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** Takes over what this process has just stored. A read that began before is then too late to count. */
  adopt(version: number, set: KeySet): void {
    this.#adopted += 1;
    this.#hold({ version, set }, this.#clock());
  }

  async #load(): Promise<VersionedSet> {
    const readAt = this.#clock();
    const adopted = this.#adopted;
    const found = await this.#documents.read();
    const held = this.#held;
    if (held !== undefined && adopted !== this.#adopted) return held;
    if (held !== undefined && found?.version === held.version) return this.#hold(held, readAt);
    const set = found === undefined ? EMPTY : parseKeySet(found.text);
    if (set === undefined)
      throw new StintError("server_error", "The signing keys in the store are not in a layout that this version of Stint knows.");
    return this.#hold({ version: found?.version ?? 0, set }, readAt);
  }

  #hold({ version, set }: VersionedSet, readAt: number): VersionedSet {
    if (set !== this.#held?.set) {
      const kept = new Set(set.keys.filter((key) => key.withdrawnAt === null).map((key) => key.kid));
      for (const kid of this.#imported.keys()) if (!kept.has(kid)) this.#imported.delete(kid);
    }
    this.#held = { version, set, readAt };
    return this.#held;
  }

  publicKey(key: StoredKey): KeyObject {
    return this.#import(key).publicKey;
  }

  signing<A extends KeyAlgorithm>(key: StoredKey & { readonly alg: A }): SigningKey<A> {
    const imported = this.#import(key);
    imported.privateKey ??= importPrivate(key, this.#sealer);
    return { kid: key.kid, alg: key.alg, publicKey: imported.publicKey, privateKey: imported.privateKey };
  }

  /** The secret that signs task tokens in the key's time. */
  taskSecret(key: StoredKey): KeyObject | undefined {
    const imported = this.#import(key);
    return (imported.taskSecret ??= importTaskSecret(key, this.#sealer));
  }

  #import(key: StoredKey): Imported {
    let imported = this.#imported.get(key.kid);
    if (imported === undefined) {
      imported = { publicKey: importPublic(key), privateKey: undefined, taskSecret: undefined };
      this.#imported.set(key.kid, imported);
    }
    return imported;
  }
}
