import { base64url } from "jose";

/** Bits that one status may take. */
export type StatusSize = 1 | 2 | 4 | 8;

export const isStatusSize = (value: unknown): value is StatusSize => value === 1 || value === 2 || value === 4 || value === 8;

/**
 * Opens `lst`: base64url of a zlib container (RFC 1950). Stops at `maxBytes`, however much more there would be. Throws a text that
 * says why it cannot be opened.
 */
export async function openStatuses(lst: string, maxBytes: number): Promise<Uint8Array> {
  if (!/^[\w-]*$/.test(lst)) throw new Error("it is not base64url");
  const packed = new Blob([base64url.decode(lst)]).stream();
  const reader: ReadableStreamDefaultReader<Uint8Array> = packed.pipeThrough(new DecompressionStream("deflate")).getReader();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.byteLength;
    if (bytes > maxBytes) {
      await reader.cancel().catch(() => undefined);
      throw new Error(`it opens to more than ${maxBytes} bytes`);
    }
    chunks.push(value);
  }
  const statuses = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    statuses.set(chunk, at);
    at += chunk.byteLength;
  }
  return statuses;
}

/** The status at an index, the least significant bits of a byte first; undefined for one that the list does not have. */
export function statusAt(statuses: Uint8Array, size: StatusSize, index: number): number | undefined {
  if (!Number.isSafeInteger(index) || index < 0) return undefined;
  const bit = index * size;
  const byte = statuses[Math.floor(bit / 8)];
  return byte === undefined ? undefined : (byte >> (bit % 8)) & ((1 << size) - 1);
}
