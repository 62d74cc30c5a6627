import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import type { Clock } from "../../domain/time.ts";

/** A nonce is good in the window it was made in and in the one after: 90 to 180 seconds. */
const WINDOW_MS = 90_000;
const SHAPE = /^[A-Za-z0-9_-]{28}$/;

/** Hands out nonces and knows them again, without keeping any. */
export interface Nonces {
  current(): string;
  isCurrent(nonce: string): boolean;
}

/**
 * Nonces (RFC 9449 section 8) that every broker of a store makes alike: a window's number and an HMAC of it, under a key derived
 * from the master keys. The first signs, all are accepted, so that a rotation of the master key is not noticed.
 */
export function createNonces(masterKeys: readonly Buffer[], clock: Clock): Nonces {
  const keys = masterKeys.map((key) => Buffer.from(hkdfSync("sha256", key, "", "stint v1 dpop nonce", 32)));
  const [first] = keys;
  if (first === undefined) throw new TypeError("nonces need a master key");
  let held = { window: -1, nonce: "" };
  const windowNow = (): number => Math.floor(clock() / WINDOW_MS);
  return {
    current() {
      const window = windowNow();
      if (held.window !== window) held = { window, nonce: make(first, window).toString("base64url") };
      return held.nonce;
    },
    isCurrent(nonce) {
      if (!SHAPE.test(nonce)) return false;
      const given = Buffer.from(nonce, "base64url");
      const window = given.readUInt32BE(0);
      const now = windowNow() >>> 0;
      if (window !== now && window + 1 !== now) return false;
      return keys.some((key) => timingSafeEqual(given, make(key, window)));
    },
  };
}

/** Four bytes of window, seventeen of HMAC: 28 characters. */
function make(key: Buffer, window: number): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(window >>> 0);
  return Buffer.concat([head, createHmac("sha256", key).update(head).digest().subarray(0, 17)]);
}
