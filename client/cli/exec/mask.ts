import { Transform } from "node:stream";

const STARS = Buffer.from("********");

/**
 * Replaces every occurrence of the secrets in a stream of bytes, also where chunks divide one. What might still become a secret
 * is held back; everything else goes on at once, so that prompts and progress are seen. `flush` lets the rest go. The list may grow
 * while the stream flows.
 */
export function maskStream(secrets: readonly string[]): Transform {
  let needles = needlesOf(secrets);
  let known = secrets.length;
  let held: Buffer = Buffer.alloc(0);
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (secrets.length !== known) {
        needles = needlesOf(secrets);
        known = secrets.length;
      }
      const whole = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      const { masked, rest } = mask(whole, needles, "more");
      held = rest;
      done(null, masked.length === 0 ? undefined : masked);
    },
    flush(done) {
      const { masked } = mask(held, needles, "end");
      done(null, masked.length === 0 ? undefined : masked);
    },
  });
}

const needlesOf = (secrets: readonly string[]): readonly Buffer[] =>
  secrets
    .filter((secret) => secret !== "")
    .map((secret) => Buffer.from(secret))
    .sort((a, b) => b.length - a.length);

function mask(whole: Buffer, needles: readonly Buffer[], then: "more" | "end"): { readonly masked: Buffer; readonly rest: Buffer } {
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const hold = then === "end" ? whole.length : at + heldFrom(whole.subarray(at), needles);
    const found = earliest(whole, needles, at);
    // What begins where a longer secret may still begin has to wait for it.
    if (found === undefined || found.index >= hold) {
      parts.push(whole.subarray(at, hold));
      return { masked: Buffer.concat(parts), rest: Buffer.from(whole.subarray(hold)) };
    }
    parts.push(whole.subarray(at, found.index), STARS);
    at = found.index + found.length;
  }
}

/** The first occurrence; of several at one place the longest. */
function earliest(
  whole: Buffer,
  needles: readonly Buffer[],
  from: number,
): { readonly index: number; readonly length: number } | undefined {
  let best: { index: number; length: number } | undefined;
  for (const needle of needles) {
    const index = whole.indexOf(needle, from);
    if (index !== -1 && (best === undefined || index < best.index)) best = { index, length: needle.length };
  }
  return best;
}

/** Where the longest tail begins that is the beginning of a secret. */
function heldFrom(tail: Buffer, needles: readonly Buffer[]): number {
  let from = tail.length;
  for (const needle of needles) {
    let start = tail.length - Math.min(needle.length - 1, tail.length);
    for (; start < from; start += 1) {
      if (tail[start] === needle[0] && tail.subarray(start).equals(needle.subarray(0, tail.length - start))) from = start;
    }
  }
  return from;
}
