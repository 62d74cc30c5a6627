import { performance } from "node:perf_hooks";
import type { Clock } from "../../domain/time.ts";
import type { SeenInstance, SeenStore } from "../../store/api.ts";
import type { Background } from "../parts.ts";

/** What an instance says of itself. Without a position it was only heard of. */
export interface Heard {
  readonly instance: string;
  readonly maxStalenessMs: number;
  readonly position: string | undefined;
}

/** What instances say comes in bursts after each revocation: it is written down together, this long after the first. */
const FLUSH_MS = 25;
/** With the store away, no more than this many wait to be written. */
const MAX_WAITING = 10_000;
/** A verifier that has too many instances is asked about again after this long. */
const FULL_MS = 5_000;
/** What was read from the store is good for this long. */
const FRESH_MS = 50;

interface Read {
  readonly at: number;
  readonly instances: Map<string, SeenInstance>;
}

/**
 * What verifiers have applied, as far as any broker was told. This broker's own part is known here at once; other brokers learn of it
 * within some 25 ms. Losing a word only makes a receipt say less.
 */
export class Acknowledged {
  readonly #store: SeenStore;
  readonly #now: Clock;
  readonly #background: Background;
  readonly #waiting = new Map<string, Map<string, Omit<SeenInstance, "ackedAt">>>();
  readonly #read = new Map<string, Read>();
  readonly #listeners = new Set<() => void>();
  readonly #full = new Map<string, { readonly until: number; readonly refused: Set<string> }>();
  #timer: NodeJS.Timeout | undefined;
  #size = 0;

  constructor(store: SeenStore, now: Clock, background: Background) {
    this.#store = store;
    this.#now = now;
    this.#background = background;
  }

  /** False when the verifier has too many instances and this one is not among them. */
  note(verifier: string, heard: Heard): boolean {
    const full = this.#full.get(verifier);
    if (full !== undefined && full.until > this.#now() && full.refused.has(heard.instance)) return false;
    const of = this.#waiting.get(verifier) ?? new Map<string, Omit<SeenInstance, "ackedAt">>();
    const before = of.get(heard.instance);
    if (before === undefined && this.#size >= MAX_WAITING) return true;
    if (before === undefined) this.#size += 1;
    const note = { ...heard, position: heard.position ?? before?.position, at: this.#now() };
    of.set(heard.instance, note);
    const read = this.#read.get(verifier);
    if (read !== undefined) merge(read.instances, note);
    this.#waiting.set(verifier, of);
    this.#timer ??= setTimeout(() => this.#background.run("write down what verifiers have seen", () => this.flush()), FLUSH_MS).unref();
    if (heard.position !== undefined) for (const listener of this.#listeners) listener();
    return true;
  }

  /** Called whenever an instance has acknowledged something here. Returns how to stop. */
  onAcknowledged(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Instances of these verifiers: as the store had them a moment ago, with what was said here since. */
  async of(verifiers: readonly string[]): Promise<ReadonlyMap<string, readonly SeenInstance[]>> {
    const old = verifiers.filter((verifier) => performance.now() - (this.#read.get(verifier)?.at ?? Number.NEGATIVE_INFINITY) > FRESH_MS);
    const at = performance.now();
    // What waits now may be written, and gone from here, behind the back of a read that does not have it yet.
    const waited = new Map(old.map((verifier) => [verifier, [...(this.#waiting.get(verifier)?.values() ?? [])]]));
    const stored = await this.#store.read(old);
    for (const verifier of old) {
      const instances = new Map((stored.get(verifier) ?? []).map((each) => [each.instance, each]));
      for (const note of waited.get(verifier) ?? []) if (note.at >= (instances.get(note.instance)?.at ?? 0)) merge(instances, note);
      for (const note of this.#waiting.get(verifier)?.values() ?? []) merge(instances, note);
      this.#read.set(verifier, { at, instances });
    }
    return new Map(verifiers.map((verifier) => [verifier, [...(this.#read.get(verifier)?.instances.values() ?? [])]]));
  }

  /** Writes down what waits. Throws `store_unavailable`; what was not written waits on. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const [verifier, notes] of this.#waiting) {
      const written = [...notes.values()];
      const refused = await this.#store.note(verifier, written);
      for (const note of written) {
        if (notes.get(note.instance) !== note) continue; // said again meanwhile
        notes.delete(note.instance);
        this.#size -= 1;
      }
      if (notes.size === 0 && this.#waiting.get(verifier) === notes) this.#waiting.delete(verifier);
      if (refused.length > 0) this.#full.set(verifier, { until: this.#now() + FULL_MS, refused: new Set(refused) });
      else this.#full.delete(verifier);
    }
  }
}

function merge(instances: Map<string, SeenInstance>, note: Omit<SeenInstance, "ackedAt">): void {
  const before = instances.get(note.instance);
  const position = note.position ?? before?.position;
  const ackedAt = before !== undefined && position === before.position ? before.ackedAt : note.at;
  instances.set(note.instance, { ...note, position, ackedAt });
}
