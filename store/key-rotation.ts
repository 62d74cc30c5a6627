import type { AuditFacts } from "../domain/audit-event.ts";
import { StintError } from "../domain/errors.ts";
import type { Clock } from "../domain/time.ts";
import type { KeyDocuments } from "./key-documents.ts";
import { makeKey } from "./key-material.ts";
import {
  KEY_ALGORITHMS,
  KEY_TIMES,
  TOKEN_ALGORITHMS,
  announcedKey,
  announcementDue,
  signerAt,
  stateOf,
  summarize,
  takeoverAt,
  tidied,
  withActivation,
  withKey,
  withoutKey,
  type KeyAlgorithm,
  type KeySet,
  type KeySummary,
  type KeyTimes,
  type StoredKey,
  type TokenAlgorithm,
} from "./key-set.ts";
import { KeyCache } from "./key-cache.ts";
import type { Sealer } from "./sealing.ts";
import { SigningKeys } from "./signing-keys.ts";

/** What a rotation needs beside the store. */
export interface SigningKeysOptions {
  readonly documents: KeyDocuments;
  readonly sealer: Sealer;
  readonly clock: Clock;
  /** Writes an audit record. When a broker dies in between it may be called twice for one change: same action, same `kid`. */
  readonly audit: (facts: AuditFacts) => Promise<void>;
  readonly times?: KeyTimes;
}

/** Which keys to rotate, on whose word. */
export interface RotationOrder {
  /** `ES256` or `RS256`; both unless named. */
  readonly alg?: string | undefined;
  /** As the audit names who asked; the broker itself unless said. */
  readonly by?: string | undefined;
  readonly reason?: string | undefined;
}

/** The keys to use, and the hand that changes them; they share one cache. */
export function createSigningKeys(options: SigningKeysOptions): { readonly keys: SigningKeys; readonly rotation: KeyRotation } {
  const cache = new KeyCache(options.documents, options.sealer, options.clock);
  return { keys: new SigningKeys(cache, options.clock, options.times), rotation: new KeyRotation(options, cache) };
}

/** A new key is known to every broker this long after it was stored. */
const SPREAD_MS = 10_000;
const ATTEMPTS = 8;

/**
 * Makes, announces, activates, withdraws and destroys signing keys. Every change is one script that compares a version: two brokers
 * that start or rotate at once end with the same keys. Throws `store_unavailable` when Redis cannot be reached.
 */
export class KeyRotation {
  readonly #options: SigningKeysOptions;
  readonly #times: KeyTimes;
  readonly #cache: KeyCache;
  #owedIn = -1;

  constructor(options: SigningKeysOptions, cache: KeyCache) {
    this.#options = options;
    this.#times = options.times ?? KEY_TIMES;
    this.#cache = cache;
  }

  /** Makes whatever key is missing, active at once, and proves that the master keys open every private part. */
  async ensure(): Promise<void> {
    const set = await this.#change(async (current, now) => {
      let next = current;
      for (const alg of KEY_ALGORITHMS) {
        if (signerAt(next, alg, now) === undefined) next = await this.#added(next, alg, now, now, {});
      }
      return next;
    });
    for (const key of set.keys) {
      if (key.sealed !== null) this.#cache.signing(key);
      this.#cache.taskSecret(key);
    }
  }

  /** Announces the next key of each algorithm (or of the one named), unless one is announced already. */
  async announceNext(order: RotationOrder = {}): Promise<readonly KeySummary[]> {
    return this.#rotate(order, (set, alg, now) =>
      announcedKey(set, alg, now) ? set : this.#added(set, alg, now + this.#times.announcedMs, now, order),
    );
  }

  /** Lets the announced key of each algorithm sign at once; where none was announced, a new one as soon as all brokers know it. */
  async activateNext(order: RotationOrder = {}): Promise<readonly KeySummary[]> {
    return this.#rotate(order, (set, alg, now) => {
      const next = announcedKey(set, alg, now);
      if (next === undefined) return this.#added(set, alg, now + SPREAD_MS, now, order);
      return withActivation(set, next.kid, Math.max(now, Math.min(next.activeAt, next.createdAt + SPREAD_MS)), now);
    });
  }

  /**
   * A compromised key: out of the JWKS and its private part destroyed at once; the announced key signs from now on, or a new one.
   * The caller sets the mark that kills what the key has signed. Throws `not_found`. Withdrawing twice is success.
   */
  async withdraw(kid: string, by: string, reason: string): Promise<readonly KeySummary[]> {
    const set = await this.#change(async (current, now) => {
      const key = current.keys.find((candidate) => candidate.kid === kid);
      if (key === undefined) throw new StintError("not_found", "There is no signing key with this id. `stint keys ls` lists them.");
      if (key.withdrawnAt !== null) return current;
      const next = withoutKey(current, kid, now, this.#facts("key.withdrawn", key, by, { reason }));
      const active = next.keys.some((other) => other.alg === key.alg && stateOf(other, now, this.#times) === "active");
      if (active) return next;
      const announced = announcedKey(next, key.alg, now);
      return announced ? withActivation(next, announced.kid, now, now) : this.#added(next, key.alg, now, now, { by });
    });
    return summarize(set, this.#options.clock(), this.#times);
  }

  /** The duty of the schedule: announces what is due, destroys what is spent, records what time has brought. Free when there is nothing. */
  async rotateDue(): Promise<void> {
    const held = await this.#cache.current();
    const now = this.#options.clock();
    if (KEY_ALGORITHMS.some((alg) => signerAt(held, alg, now) === undefined)) return this.ensure(); // the store was emptied
    const due = TOKEN_ALGORITHMS.some((alg) => announcementDue(held, alg, now, this.#times));
    if (due || held.owed.length > 0 || tidied(held, now, this.#times) !== held)
      await this.#change((current, at) => this.#aged(current, at));
  }

  async #aged(current: KeySet, now: number): Promise<KeySet> {
    let next = tidied(current, now, this.#times);
    for (const alg of TOKEN_ALGORITHMS) {
      if (announcementDue(next, alg, now, this.#times))
        next = await this.#added(next, alg, takeoverAt(next, alg, now, this.#times), now, {});
    }
    return next;
  }

  /** Seals every private part and task secret under the first master key. Returns how many were under another. */
  async reseal(by: string): Promise<number> {
    const { sealer } = this.#options;
    let count = 0;
    await this.#change(async (current) => {
      const anew = (purpose: "signing-key" | "task-secret", kid: string, sealed: string | null): string | null =>
        sealed === null || !sealer.needsReseal(sealed) ? sealed : sealer.seal(purpose, kid, sealer.open(purpose, kid, sealed));
      const keys = current.keys.map((key) => {
        const [sealed, task] = [anew("signing-key", key.kid, key.sealed), anew("task-secret", key.kid, key.task)];
        return sealed === key.sealed && task === key.task ? key : { ...key, sealed, task };
      });
      count = keys.filter((key, index) => key !== current.keys[index]).length;
      if (count === 0) return current;
      return { ...current, keys, owed: [...current.owed, { action: "seal.rotated", principal: by, key_id: sealer.keyId, keys: count }] };
    });
    return count;
  }

  async #rotate(
    order: RotationOrder,
    step: (set: KeySet, alg: TokenAlgorithm, now: number) => KeySet | Promise<KeySet>,
  ): Promise<readonly KeySummary[]> {
    const algorithms = TOKEN_ALGORITHMS.filter((alg) => order.alg === undefined || order.alg === alg);
    if (algorithms.length === 0) throw new StintError("invalid_request", `Signing keys are of ${TOKEN_ALGORITHMS.join(" or ")}.`);
    const set = await this.#change(async (current, now) => {
      let next = current;
      for (const alg of algorithms) next = await step(next, alg, now);
      return next;
    });
    return summarize(set, this.#options.clock(), this.#times);
  }

  /** Reads, computes, writes if nobody wrote in between; else once more on what they wrote. Then pays the audit what is owed. */
  async #change(compute: (current: KeySet, now: number) => Promise<KeySet>): Promise<KeySet> {
    const { documents, clock } = this.#options;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const { version, set } = await this.#cache.read();
      const next = await compute(set, clock());
      if (next === set) {
        // Whoever made a change pays for it right after. Still owed at a second look means that it died: then somebody else does.
        if (set.owed.length > 0 && this.#owedIn === version) await this.#pay(version, set);
        this.#owedIn = version;
        return set;
      }
      if ((await documents.write(version, JSON.stringify(next))) === "stored") {
        this.#cache.adopt(version + 1, next);
        await this.#pay(version + 1, next);
        return next;
      }
    }
    throw new StintError("store_unavailable", "Other brokers kept changing the signing keys. Try again.", { retryAfterSeconds: 1 });
  }

  /** Written to the audit first, then taken out of the document: a broker that dies in between leaves a record twice, never none. */
  async #pay(version: number, set: KeySet): Promise<void> {
    try {
      for (const facts of set.owed) await this.#options.audit(facts);
      await this.#options.documents.write(version, JSON.stringify({ ...set, owed: [] }));
    } catch {
      // The change itself stands. What is owed stays in the document, and the next duty pays it.
    }
  }

  async #added(set: KeySet, alg: KeyAlgorithm, activeAt: number, now: number, order: RotationOrder): Promise<KeySet> {
    const key = await makeKey(alg, activeAt, now, this.#options.sealer);
    const more = { active_at: new Date(activeAt).toISOString(), ...(order.reason !== undefined && { reason: order.reason }) };
    return withKey(set, key, now, this.#facts("key.added", key, order.by ?? "broker", more));
  }

  #facts(action: AuditFacts["action"], key: StoredKey, principal: string, more: Readonly<Record<string, string>>): AuditFacts {
    return { action, principal, kid: key.kid, alg: key.alg, ...more };
  }
}
