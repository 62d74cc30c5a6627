import { createHash } from "node:crypto";
import { BUCKETS } from "../../domain/ids.ts";

/** Indices of one published list: 128 KiB of bits, of which almost all are zero and pack away. */
export const LIST_SIZE = 2 ** 20;
/** Places of one bucket in one published list; what a busy bucket gives out beyond them goes into further lists of the hour. */
export const BUCKET_PLACES = LIST_SIZE / BUCKETS;

const HALF_BITS = 10;
const HALF = 2 ** HALF_BITS;
const ROUNDS = 4;

/** Which index of a published list a bucket's place is: one to one, and telling nothing of bucket or order to whoever has no secret. */
export type Places = (bucket: number, place: number) => number;

/**
 * A Feistel network of four rounds over 20 bits, its round functions read from a stream that the secret and the list's name give.
 * Every broker computes the same, so nobody coordinates, and no index is given out twice.
 */
export function placesOf(secret: Uint8Array, list: string): Places {
  const stream = createHash("shake256", { outputLength: ROUNDS * HALF * 2 })
    .update("stint status list\0")
    .update(secret)
    .update(list)
    .digest();
  return (bucket, place) => {
    if (place < 0 || place >= BUCKET_PLACES || bucket < 0 || bucket >= BUCKETS) throw new RangeError("no place of a status list");
    let left = Math.floor((place * BUCKETS + bucket) / HALF);
    let right = (place * BUCKETS + bucket) % HALF;
    for (let round = 0; round < ROUNDS; round += 1) {
      const mixed = left ^ (stream.readUInt16BE((round * HALF + right) * 2) & (HALF - 1));
      left = right;
      right = mixed;
    }
    return left * HALF + right;
  };
}
