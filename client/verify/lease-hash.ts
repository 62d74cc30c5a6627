import type { LeaseId } from "./lease-id.ts";

/** 64 bits of a lease's id under a seed, as two signed words. */
export interface LeaseHash {
  readonly high: number;
  readonly low: number;
}

/**
 * Hashes lease ids under a random seed with HalfSipHash-1-3 (Aumasson and Bernstein, 64 bits of output): whoever cannot read our
 * memory cannot make ids that collide, neither to slow look-ups down nor to have somebody else's token refused.
 */
export function leaseHasher(seed: Uint32Array = crypto.getRandomValues(new Uint32Array(2))): (id: LeaseId) => LeaseHash {
  const k0 = seed[0] ?? 0;
  const k1 = seed[1] ?? 0;
  const state = new Int32Array(4);
  return ({ words }) => {
    state[0] = k0;
    state[1] = k1 ^ 0xee;
    state[2] = k0 ^ 0x6c796765;
    state[3] = k1 ^ 0x74656462;
    for (const word of words) compress(state, word);
    compress(state, (words.length * 4) << 24);
    state[2] ^= 0xee;
    for (let round = 0; round < 3; round++) mix(state);
    const low = (state[1] ?? 0) ^ (state[3] ?? 0);
    state[1] = (state[1] ?? 0) ^ 0xdd;
    for (let round = 0; round < 3; round++) mix(state);
    return { high: (state[1] ?? 0) ^ (state[3] ?? 0), low };
  };
}

function compress(state: Int32Array, word: number): void {
  state[3] = (state[3] ?? 0) ^ word;
  mix(state);
  state[0] = (state[0] ?? 0) ^ word;
}

const rotate = (value: number, by: number): number => (value << by) | (value >>> (32 - by));

/** One SipRound of the half-width family. */
function mix(state: Int32Array): void {
  let v0 = state[0] ?? 0;
  let v1 = state[1] ?? 0;
  let v2 = state[2] ?? 0;
  let v3 = state[3] ?? 0;
  v0 = (v0 + v1) | 0;
  v1 = rotate(v1, 5) ^ v0;
  v0 = rotate(v0, 16);
  v2 = (v2 + v3) | 0;
  v3 = rotate(v3, 8) ^ v2;
  v0 = (v0 + v3) | 0;
  v3 = rotate(v3, 7) ^ v0;
  v2 = (v2 + v1) | 0;
  v1 = rotate(v1, 13) ^ v2;
  v2 = rotate(v2, 16);
  state[0] = v0;
  state[1] = v1;
  state[2] = v2;
  state[3] = v3;
}
