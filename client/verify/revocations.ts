import { leaseHasher, type LeaseHash } from "./lease-hash.ts";
import type { LeaseId } from "./lease-id.ts";
import { Marks, type Marked, type MarkKind } from "./marks.ts";
import { RevokedSet } from "./revoked-set.ts";

/** No lease lives longer than this: 24 hours. */
export const MAX_LIFE_SECONDS = 86_400;

export interface RevocationLimits {
  /** For how long after its end a token may still be honoured, for the sake of clocks: until then nothing is forgotten. */
  readonly graceSeconds: number;
  readonly maxLeases?: number | undefined;
  readonly maxMarks?: number | undefined;
}

/**
 * Everything known to be revoked. It only ever grows by what it is told, and forgets what can no longer be alive. What cannot be
 * held exactly, for want of room, is held coarsely, as a mark on all up to that lease's instant: that refuses more, never less.
 */
export class Revocations {
  readonly hash: (id: LeaseId) => LeaseHash = leaseHasher();
  readonly #leases: RevokedSet;
  readonly #marks: Marks;
  readonly #graceSeconds: number;
  #overflowed = 0;

  constructor({ graceSeconds, maxLeases, maxMarks }: RevocationLimits) {
    this.#graceSeconds = graceSeconds;
    this.#leases = new RevokedSet(maxLeases);
    this.#marks = new Marks(maxMarks);
  }

  get leases(): number {
    return this.#leases.size;
  }

  get marks(): number {
    return this.#marks.size;
  }

  get byteLength(): number {
    return this.#leases.byteLength;
  }

  /** How often there was no room. */
  get overflowed(): number {
    return this.#overflowed;
  }

  /** `exp` in seconds; `now` in milliseconds bounds it, since an entry that never ends would never be forgotten. */
  addLease(id: LeaseId, exp: number, now: number): void {
    const until = Math.min(exp, now / 1000 + MAX_LIFE_SECONDS + this.#graceSeconds);
    if (this.#leases.add(this.hash(id), until)) return;
    this.#overflowed++;
    this.#marks.add("all", "", id.instant);
  }

  addMark(kind: MarkKind, name: string, at: number): void {
    if (this.#marks.add(kind, name, at)) return;
    this.#overflowed++;
    this.#marks.add("all", "", at);
  }

  /** Why it is revoked, if it is. */
  reasonFor(hash: LeaseHash, marked: Marked): "lease" | MarkKind | undefined {
    return this.#leases.has(hash) ? "lease" : this.#marks.covering(marked);
  }

  /** Forgets what was over at `now` (milliseconds) by every clock concerned, a part at a time. */
  compact(now: number): void {
    this.#leases.compact(Math.floor(now / 1000) - this.#graceSeconds, 8);
    this.#marks.forgetBefore(now - (MAX_LIFE_SECONDS + this.#graceSeconds) * 1000);
  }
}
