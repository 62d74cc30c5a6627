import { type Stamp, type VerifierClock, elapsed, stampOf } from "./clock.ts";
import { VerifyError } from "./errors.ts";
import { type Fetch, HttpFailure, fetchText } from "./http.ts";
import { RefusedJson, parseObject } from "./json.ts";
import { JwksError, readJwks, type VerifyKey } from "./jwks.ts";
import type { VerifierLog } from "./log.ts";
import { isOrigin } from "./origin.ts";

export interface KeySettings {
  readonly issuer: string;
  readonly algorithms: readonly string[];
  readonly fetch: Fetch;
  readonly clock: VerifierClock;
  readonly log: VerifierLog;
}

/** Read again after this long; the broker publishes with the same span. */
const MAX_AGE_MS = 300_000;
/** Kept for this long while they can't be read again. */
const MAX_STALE_MS = 24 * 3_600_000;
/** Read again in the background from this age on, so that nobody waits for it. */
const AHEAD_MS = 240_000;
/** Unknown ids and failures have them read again, at first after a second; when it does not help, less and less often. */
const COOLDOWN_MS = 1_000;
const MAX_COOLDOWN_MS = 30_000;
const MAX_FAILING_COOLDOWN_MS = 5_000;
const TIMEOUT_MS = 5_000;
const MAX_BYTES = 262_144;
const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json$/;

const unavailable = (): VerifyError => new VerifyError("keys_unavailable", { headers: { "retry-after": "1" } });

/** The issuer's public keys, found by discovery (RFC 8414, OpenID Connect Discovery) and kept while they are fresh. */
export class RemoteKeys {
  readonly #settings: KeySettings;
  #keys: readonly VerifyKey[] = [];
  #readAt: Stamp | undefined;
  #triedAt: Stamp | undefined;
  #cooldownMs = COOLDOWN_MS;
  #failing = false;
  #reading: Promise<void> | undefined;
  #jwksUri: string | undefined;

  constructor(settings: KeySettings) {
    this.#settings = settings;
  }

  get count(): number {
    return this.#keys.length;
  }

  /** Milliseconds since they were read; infinite before. */
  get ageMs(): number {
    return this.#readAt === undefined ? Number.POSITIVE_INFINITY : elapsed(this.#settings.clock, this.#readAt);
  }

  /** Sees to it that keys too old are read again; undefined when there is nothing to wait for. */
  refresh(): Promise<void> | undefined {
    const { ageMs } = this;
    if (ageMs <= AHEAD_MS) return undefined;
    const reading = this.#readAgain();
    // while reading fails, nobody waits for the next attempt: keys of up to a day ago will do
    return ageMs > MAX_STALE_MS || (ageMs > MAX_AGE_MS && !this.#failing) ? reading : undefined;
  }

  /** Whether a key that checked a signature earlier still is the issuer's. */
  holds(key: VerifyKey): boolean {
    return this.ageMs <= MAX_STALE_MS && this.#keys.includes(key);
  }

  /** Reads them before they are needed. Throws `keys_unavailable`. */
  async prepare(): Promise<void> {
    await this.refresh();
    if (this.#keys.length === 0 || this.ageMs > MAX_STALE_MS) throw unavailable();
  }

  /** The key that must have signed. Throws `unknown_key` or `algorithm_refused`, and `keys_unavailable` when none can be read. */
  async find(kid: string, alg: string): Promise<VerifyKey> {
    await this.refresh();
    let found = this.#known(kid);
    if (found === undefined && this.#keys.length > 0) {
      await this.#readAgain();
      found = this.#known(kid);
      if (found !== undefined) this.#cooldownMs = COOLDOWN_MS;
    }
    if (this.#keys.length === 0 || this.ageMs > MAX_STALE_MS) throw unavailable();
    if (found === undefined) throw new VerifyError("unknown_key");
    if (found.alg !== alg) throw new VerifyError("algorithm_refused", { detail: "the key is for another one" });
    return found;
  }

  #known(kid: string): VerifyKey | undefined {
    return this.#keys.find((key) => key.kid === kid);
  }

  /** One fetch at a time, and none during the cooldown: then what is known must do. */
  async #readAgain(): Promise<void> {
    const { clock } = this.#settings;
    if (this.#reading === undefined) {
      if (this.#triedAt !== undefined && elapsed(clock, this.#triedAt) < this.#cooldownMs) return;
      const again = this.#triedAt !== undefined && elapsed(clock, this.#triedAt) < AHEAD_MS;
      this.#cooldownMs = again ? Math.min(this.#cooldownMs * 2, this.#failing ? MAX_FAILING_COOLDOWN_MS : MAX_COOLDOWN_MS) : COOLDOWN_MS;
      this.#triedAt = stampOf(clock);
      this.#reading = this.#read().finally(() => {
        this.#reading = undefined;
        // from its end on: who has waited for an attempt to fail must not wait for the next one at once
        this.#triedAt = stampOf(clock);
      });
    }
    await this.#reading;
  }

  async #read(): Promise<void> {
    const { algorithms, clock, log } = this.#settings;
    const before = this.#keys;
    try {
      // an issuer that moved its keys says so in its metadata: what was found there is used as long as it works
      this.#jwksUri ??= await this.#discover();
      const text = await this.#fetch(this.#jwksUri);
      const keys = await readJwks(text, algorithms, before);
      this.#keys = keys;
      this.#readAt = stampOf(clock);
      this.#failing = false;
      if (keys.length !== before.length || keys.some((key) => !before.includes(key)))
        log({
          level: "info",
          event: "keys_read",
          message: `the issuer publishes ${keys.length} usable ${keys.length === 1 ? "key" : "keys"}`,
        });
    } catch (error) {
      this.#jwksUri = undefined;
      this.#failing = true;
      const reason = error instanceof Error ? error.message : "unknown";
      log({ level: "warn", event: "keys_failed", message: `the issuer's keys cannot be read: ${reason}`, reason });
    }
  }

  async #discover(): Promise<string> {
    const { issuer } = this.#settings;
    const text = await this.#fetch(`${issuer}/.well-known/openid-configuration`);
    let metadata;
    try {
      metadata = parseObject(text);
    } catch (error) {
      throw new JwksError(`the metadata is refused: ${error instanceof RefusedJson ? error.message : "unreadable"}`);
    }
    if (metadata["issuer"] !== issuer) throw new JwksError("the metadata is of another issuer");
    const uri = metadata["jwks_uri"];
    if (typeof uri !== "string" || !URL.canParse(uri) || !isOrigin(new URL(uri).origin))
      throw new JwksError("the metadata's jwks_uri is not https");
    return uri;
  }

  #fetch(url: string): Promise<string> {
    const { fetch, clock } = this.#settings;
    const request = {
      headers: { accept: "application/jwk-set+json, application/json" },
      maxBytes: MAX_BYTES,
      timeoutMs: TIMEOUT_MS,
      type: JSON_TYPE,
    };
    return fetchText(fetch, clock, url, request).catch((error: unknown) => {
      throw error instanceof HttpFailure ? error : new HttpFailure("it cannot be read", undefined, { cause: error });
    });
  }
}
