import type { VerifierClock } from "./clock.ts";
import { VerifyError } from "./errors.ts";
import { type Fetch, fetchText } from "./http.ts";
import { parseObject } from "./json.ts";

export interface IntrospectionSettings {
  readonly issuer: string;
  readonly authorization: string;
  readonly fetch: Fetch;
  readonly clock: VerifierClock;
}

/** Questions under way at once; beyond that the answer is no: a broker in trouble is not helped by more of them. */
const MAX_AT_ONCE = 64;
const TIMEOUT_MS = 3_000;
const MAX_BYTES = 65_536;

/** Asks the broker whether a token may be honoured now (RFC 7662). The same token is asked about once at a time. */
export class Introspector {
  readonly #settings: IntrospectionSettings;
  readonly #asked = new Map<string, Promise<boolean>>();

  constructor(settings: IntrospectionSettings) {
    this.#settings = settings;
  }

  /** Throws `inactive`, or `introspection_unavailable` when there is no clear answer. */
  async check(token: string, lease: string): Promise<void> {
    let answer = this.#asked.get(token);
    if (answer === undefined) {
      if (this.#asked.size >= MAX_AT_ONCE) throw unavailable("too many questions are under way", lease);
      answer = this.#ask(token).finally(() => this.#asked.delete(token));
      this.#asked.set(token, answer);
    }
    let active: boolean;
    try {
      active = await answer;
    } catch (error) {
      throw unavailable(error instanceof Error ? error.message : "unknown", lease);
    }
    if (!active) throw new VerifyError("inactive", { lease });
  }

  async #ask(token: string): Promise<boolean> {
    const { issuer, authorization, fetch, clock } = this.#settings;
    const text = await fetchText(fetch, clock, `${issuer}/oauth2/introspect`, {
      method: "POST",
      headers: { authorization, "content-type": "application/x-www-form-urlencoded", accept: "application/json" },
      body: new URLSearchParams({ token }).toString(),
      maxBytes: MAX_BYTES,
      timeoutMs: TIMEOUT_MS,
      type: /^application\/json$/,
    });
    return parseObject(text)["active"] === true;
  }
}

const unavailable = (detail: string, lease: string): VerifyError =>
  new VerifyError("introspection_unavailable", { detail, lease, headers: { "retry-after": "1" } });
