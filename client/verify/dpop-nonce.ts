import { type CryptoKey, base64url } from "jose";

const WINDOW_MS = 90_000;
const LENGTH = 32;

/** Hands out nonces and knows them again, without keeping any; good for 90 to 180 seconds. */
export class Nonces {
  readonly #key: Promise<CryptoKey>;
  #made = new Map<number, Promise<string>>();

  /** Servers that stand for one another share a secret; without one it is random, and each knows only its own. */
  constructor(secret: string | undefined) {
    const bytes = secret === undefined ? crypto.getRandomValues(new Uint8Array(LENGTH)) : new TextEncoder().encode(secret);
    if (secret !== undefined && secret.length < LENGTH) throw new TypeError(`a nonce secret has at least ${LENGTH} characters`);
    this.#key = crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  }

  /** The nonce of this time, in milliseconds. */
  current(now: number): Promise<string> {
    return this.#of(Math.floor(now / WINDOW_MS));
  }

  async isCurrent(nonce: unknown, now: number): Promise<boolean> {
    if (typeof nonce !== "string" || nonce.length > 64) return false;
    const window = Math.floor(now / WINDOW_MS);
    // two fixed texts of ours, and guessing costs a signed proof each: no time to be read out of this comparison
    return nonce === (await this.#of(window)) || nonce === (await this.#of(window - 1));
  }

  #of(window: number): Promise<string> {
    const held = this.#made.get(window);
    if (held !== undefined) return held;
    const made = this.#make(window);
    this.#made = new Map([...this.#made, [window, made] as const].filter(([other]) => Math.abs(other - window) <= 1));
    return made;
  }

  async #make(window: number): Promise<string> {
    const mac = await crypto.subtle.sign("HMAC", await this.#key, new TextEncoder().encode(`stint verify dpop nonce ${window}`));
    return base64url.encode(new Uint8Array(mac).subarray(0, 21));
  }
}
