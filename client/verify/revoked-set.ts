import type { LeaseHash } from "./lease-hash.ts";

const SHARDS = 256;
/** Words of a slot: both halves of the hash, then the second of `exp` (0: empty). */
const SLOT = 3;
const MAX_LOAD = 0.72;
const GROWTH = 1.4;
const FIRST_CAPACITY = 8;
const MAX_SECOND = 0xffff_ffff;

interface Shard {
  /** Signed, as hashes are: numbers of 31 bits and a sign need no memory of their own in most engines. */
  readonly slots: Int32Array;
  readonly capacity: number;
  /** Slots by one step of the lower half of a hash. */
  readonly scale: number;
  used: number;
}

const emptyShard = (capacity: number): Shard => ({
  slots: new Int32Array(capacity * SLOT),
  capacity,
  scale: capacity / 0x1_0000_0000,
  used: 0,
});

/**
 * Hashes of revoked leases, each with the second of its `exp`, by open addressing in typed arrays: at most 24 bytes an entry. It
 * is cut into 256 shards that grow and shrink one at a time, so that no addition waits for the rebuilding of more than 1/256 of
 * it, and nothing is ever held twice. A collision of 64 bits refuses a good token; no error of it lets a revoked one pass.
 */
export class RevokedSet {
  readonly #shards: (Shard | undefined)[] = Array.from({ length: SHARDS }, () => undefined);
  readonly #maxEntries: number;
  #size = 0;
  #horizon = 0;
  #next = 0;

  constructor(maxEntries: number = 4_000_000) {
    this.#maxEntries = maxEntries;
  }

  /** Entries held, whether or not their time is over. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of all its arrays. */
  get byteLength(): number {
    return this.#shards.reduce((sum, shard) => sum + (shard?.slots.byteLength ?? 0), 0);
  }

  has({ high, low }: LeaseHash): boolean {
    const shard = this.#shards[high >>> 24];
    return shard !== undefined && shard.slots[find(shard, high, low) + 2] !== 0;
  }

  /** Holds it until `exp` (seconds) at least; of two, the later counts. False when there is no room. */
  add({ high, low }: LeaseHash, exp: number): boolean {
    const second = Math.min(Math.max(Math.ceil(exp), 1), MAX_SECOND);
    const number = high >>> 24;
    let shard = this.#shards[number] ?? emptyShard(FIRST_CAPACITY);
    let at = find(shard, high, low);
    if (shard.slots[at + 2] === 0) {
      if (this.#size >= this.#maxEntries) return false;
      if (shard.used + 1 > shard.capacity * MAX_LOAD) {
        shard = this.#rebuild(shard, shard.used + 1);
        at = find(shard, high, low);
      }
      shard.used++;
      this.#size++;
    }
    shard.slots[at] = high;
    shard.slots[at + 1] = low;
    shard.slots[at + 2] = Math.max((shard.slots[at + 2] ?? 0) >>> 0, second);
    this.#shards[number] = shard;
    return true;
  }

  /** Forgets what ended before `horizon` (seconds) in the next few shards; calling it 256 times goes through all of them. */
  compact(horizon: number, shards = 1): void {
    this.#horizon = horizon;
    for (let count = 0; count < shards; count++) {
      const number = this.#next;
      this.#next = (number + 1) % SHARDS;
      const shard = this.#shards[number];
      if (shard === undefined) continue;
      const rebuilt = this.#rebuild(shard, 0);
      this.#shards[number] = rebuilt.used === 0 ? undefined : rebuilt;
    }
  }

  /** A shard without what is over, with room for `wanted` entries; the same one where there is nothing to do. */
  #rebuild(shard: Shard, wanted: number): Shard {
    const { slots } = shard;
    let live = 0;
    for (let at = 2; at < slots.length; at += SLOT) if ((slots[at] ?? 0) >>> 0 > this.#horizon) live++;
    if (live === shard.used && wanted === 0) return shard;
    const room = Math.min(wanted, live + 1);
    let capacity = FIRST_CAPACITY;
    // some space beyond what is needed, or the next addition would rebuild again
    while (Math.max(live, room) > capacity * MAX_LOAD * (live === shard.used ? 1 : 0.9)) capacity = Math.ceil(capacity * GROWTH);
    const next = emptyShard(capacity);
    next.used = live;
    for (let at = 0; at < slots.length; at += SLOT) {
      const exp = (slots[at + 2] ?? 0) >>> 0;
      if (exp <= this.#horizon) continue;
      const high = slots[at] ?? 0;
      const low = slots[at + 1] ?? 0;
      const to = find(next, high, low);
      next.slots[to] = high;
      next.slots[to + 1] = low;
      next.slots[to + 2] = exp;
    }
    this.#size -= shard.used - live;
    return next;
  }
}

/** Where it stands, or the empty slot where it would. There always is one: a shard is never full. */
function find({ slots, capacity, scale }: Shard, high: number, low: number): number {
  let slot = ((low >>> 0) * scale) | 0;
  for (;;) {
    const at = slot * SLOT;
    if (slots[at + 2] === 0 || (slots[at + 1] === low && slots[at] === high)) return at;
    slot = slot + 1 === capacity ? 0 : slot + 1;
  }
}
