import { deflate } from "node:zlib";
import { promisify } from "node:util";
import type { BucketStatuses } from "../../store/api.ts";
import { BUCKET_PLACES, LIST_SIZE, type Places } from "./places.ts";

const pack = promisify(deflate);

/** The bits of one published part: 1 where a token is over. Index i is bit i mod 8 of byte i div 8, the least significant first. */
export function bitsOf(buckets: readonly BucketStatuses[], part: number, places: Places): Uint8Array {
  const bits = new Uint8Array(LIST_SIZE / 8);
  const from = part * BUCKET_PLACES;
  buckets.forEach(({ over, overBelow, bits: own }, bucket) => {
    const invalidate = (place: number): void => {
      const index = places(bucket, place);
      bits[index >> 3] = (bits[index >> 3] ?? 0) | (1 << (index & 7));
    };
    const below = over ? BUCKET_PLACES : Math.min(BUCKET_PLACES, Math.max(0, overBelow - from));
    for (let place = 0; place < below; place += 1) invalidate(place);
    for (let place = below; place < BUCKET_PLACES; place += 1) {
      const byte = own[(from + place) >> 3];
      if (byte === undefined) break;
      // whole bytes of places that are good are the rule
      if (byte === 0 && (place & 7) === 0) place += 7;
      else if ((byte & (0x80 >> (place & 7))) !== 0) invalidate(place);
    }
  });
  return bits;
}

/** `lst`: the bits in a zlib container (RFC 1950), base64url. */
export const encodeBits = async (bits: Uint8Array): Promise<string> => (await pack(bits, { level: 9 })).toString("base64url");
