import { performance } from "node:perf_hooks";
import { isDeepStrictEqual } from "node:util";
import { setTimeout as pause } from "node:timers/promises";
import { BUCKETS } from "../../domain/ids.ts";
import type { Clock } from "../../domain/time.ts";
import type { FeedEntry, FeedHint, FeedPage, FeedStore } from "../../store/api.ts";
import type { Position } from "./position.ts";

/** Entries read from a bucket in one go. */
const PAGE = 500;
/** Entries of a bucket that are kept for readers who come back: 64 times this, in all. */
const KEPT = 256;
const MAX_BREATH_MS = 100;
const ALL: readonly number[] = Array.from({ length: BUCKETS }, (_, bucket) => bucket);

interface Heard {
  readonly bucket: number;
  readonly number: number;
  readonly entry: FeedEntry;
}

/** What the follower found. Called between two reads, never twice at once. */
export interface FollowerListener {
  /** Entries after `before`; the follower's position is behind them already. */
  entries(entries: readonly FeedEntry[], before: Position): void;
  /** Something was missed for good: whoever follows must start anew. */
  gap(): void;
}

/** Reads all buckets of the feed for a whole process: once a second, and a bucket at once when a hint names it. */
export class Follower {
  readonly #store: Pick<FeedStore, "positions" | "read" | "readMany" | "skip">;
  readonly #now: Clock;
  readonly #listener: FollowerListener;
  readonly #kept: FeedEntry[][] = ALL.map(() => []);
  readonly #dirty = new Set<number>();
  /** Buckets not yet read to their end since `#wanted`. */
  readonly #owed = new Set<number>();
  /** What was told of these buckets, up to a number, and taken back since: until a hole was left there. */
  readonly #takenBack = new Map<number, number>();
  #vector: number[];
  #asOf: number;
  #wanted: number;
  #running: Promise<void> | undefined;

  private constructor(store: FeedStore, now: Clock, listener: FollowerListener, start: Position) {
    this.#store = store;
    this.#now = now;
    this.#listener = listener;
    this.#vector = [...start.vector];
    this.#asOf = this.#wanted = start.asOf;
  }

  /** Begins at the feed's end as it is now. Throws `store_unavailable`. */
  static async start(store: FeedStore, now: Clock, listener: FollowerListener): Promise<Follower> {
    const asOf = now();
    return new Follower(store, now, listener, { vector: await store.positions(), asOf });
  }

  /** Everything up to here was told to the listener. A bucket that cannot be read stops `asOf`. */
  get position(): Position {
    return { vector: this.#vector, asOf: this.#asOf };
  }

  /** Looks at every bucket, and waits until that is done. Never throws. */
  async look(): Promise<void> {
    for (const bucket of ALL) this.#dirty.add(bucket);
    await this.#run();
  }

  /**
   * Looks at the bucket that a hint names. The entry that came with it is taken as it is where it is the very next one and nothing
   * else is going on: that saves a trip to the store, which is most of the way from an ending to a verifier. Never throws.
   */
  async hear({ bucket, next }: FeedHint): Promise<void> {
    if (this.#running === undefined && next?.number === (this.#vector[bucket] ?? 0) + 1) {
      await this.#run({ bucket, number: next.number, entry: next.entry });
      return;
    }
    this.#dirty.add(bucket);
    await this.#run();
  }

  /** Entries of a bucket after a position: from memory where they are kept, else from the store. */
  async after(bucket: number, position: number): Promise<FeedPage> {
    const kept = this.#kept[bucket] ?? [];
    const now = this.#vector[bucket] ?? 0;
    const missing = now - position;
    if (missing > 0 && missing <= kept.length) return { entries: kept.slice(kept.length - missing), position: now, gap: false };
    return this.#store.read(bucket, position, PAGE);
  }

  #run(heard?: Heard): Promise<void> {
    this.#running ??= this.#rounds(heard).finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #rounds(heard: Heard | undefined): Promise<void> {
    if (heard !== undefined) await this.#paced(() => this.#takeHeard(heard));
    while (this.#dirty.size > 0) {
      const buckets = [...this.#dirty];
      this.#dirty.clear();
      if (buckets.length === BUCKETS) this.#beginRound();
      await this.#leaveHoles();
      const pages = await this.#read(buckets);
      await this.#paced(() => this.#take(pages));
    }
  }

  /**
   * The first entry after a silence goes out at once. Telling a thousand readers takes its time: what comes meanwhile is told
   * together, so that readers never cost more than a third of this process.
   */
  async #paced(tell: () => void): Promise<void> {
    const began = performance.now();
    tell();
    await written();
    const breath = Math.min(MAX_BREATH_MS, 2 * (performance.now() - began));
    if (breath >= 1) await pause(breath, undefined, { ref: false });
  }

  /** Says nothing of what else the bucket may hold: `asOf` waits for the next look. */
  #takeHeard({ bucket, number, entry }: Heard): void {
    const before: Position = { vector: [...this.#vector], asOf: this.#asOf };
    this.#keep(bucket, { entries: [entry], position: number, gap: false });
    this.#vector[bucket] = number;
    this.#listener.entries([entry], before);
  }

  #beginRound(): void {
    this.#wanted = this.#now();
    for (const bucket of ALL) this.#owed.add(bucket);
  }

  /** Whoever else has read what was taken back must find out, too: at another broker, or coming back later. */
  async #leaveHoles(): Promise<void> {
    for (const [bucket, told] of this.#takenBack) {
      try {
        await this.#store.skip(bucket, told);
        this.#takenBack.delete(bucket);
      } catch {
        return; // the next look tries again
      }
    }
  }

  /** In one trip; when that fails, each for itself, so that one bucket's failure keeps nothing else back. */
  async #read(buckets: readonly number[]): Promise<ReadonlyMap<number, FeedPage>> {
    try {
      return await this.#store.readMany(new Map(buckets.map((bucket) => [bucket, this.#vector[bucket] ?? 0])), PAGE);
    } catch {
      const pages = new Map<number, FeedPage>();
      const read = async (bucket: number): Promise<void> =>
        void pages.set(bucket, await this.#store.read(bucket, this.#vector[bucket] ?? 0, PAGE));
      await Promise.allSettled(buckets.map(read));
      return pages;
    }
  }

  #take(pages: ReadonlyMap<number, FeedPage>): void {
    const before: Position = { vector: [...this.#vector], asOf: this.#asOf };
    const found: FeedEntry[] = [];
    let gap = false;
    for (const [bucket, page] of pages) {
      const takenBack = this.#isTakenBack(bucket, page);
      if (takenBack) this.#takenBack.set(bucket, this.#vector[bucket] ?? 0);
      gap ||= page.gap || takenBack;
      this.#keep(bucket, takenBack ? { ...page, gap: true } : page);
      for (const entry of page.entries) found.push(entry);
      this.#vector[bucket] = page.position;
      if (page.entries.length >= PAGE) this.#dirty.add(bucket);
      else this.#owed.delete(bucket);
    }
    if (this.#owed.size === 0) this.#asOf = Math.max(this.#asOf, this.#wanted);
    if (gap) this.#listener.gap();
    else if (found.length > 0) this.#listener.entries(found, before);
  }

  /** A failover has lost what was told last: the number is not there any more, or was given to another entry. */
  #isTakenBack(bucket: number, { at, wentBack }: FeedPage): boolean {
    const told = this.#kept[bucket]?.at(-1);
    return wentBack === true || (at !== undefined && told !== undefined && !isDeepStrictEqual(at, told));
  }

  #keep(bucket: number, { entries, gap }: FeedPage): void {
    const kept = gap ? [] : (this.#kept[bucket] ?? []);
    for (const entry of entries) kept.push(entry);
    if (kept.length > KEPT) kept.splice(0, kept.length - KEPT);
    this.#kept[bucket] = kept;
  }
}

/** Node hands what was written to sockets to the system behind the current turn: the work is done only after that. */
const written = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
