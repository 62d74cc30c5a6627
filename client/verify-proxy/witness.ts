import type { Original } from "../../actions/proxies.ts";
import { AuthorizeView } from "../../domain/wire.ts";

/** A denial as it was decided here: whose token, and what was asked for. */
export interface Denied {
  readonly token: string;
  /** Of which key a proof was seen, where the token is bound to one. */
  readonly cnf: unknown;
  readonly original: Original;
}

export interface WitnessOptions {
  readonly url: string;
  readonly name: string;
  readonly key: string;
  readonly fetch: typeof fetch;
  /** Milliseconds, never going back. */
  readonly monotonic: () => number;
}

/** A client that is denied waits this much longer at most; */
const TIMEOUT_MS = 500;
/** no more than so many wait at once; */
const MAX_AT_ONCE = 16;
/** and after a failure nobody does for a while: denials need no broker. */
const PAUSE_MS = 5_000;

/**
 * Has denials on record at the broker, by asking it the same question: operators then find the whole reasoning under the id that the
 * client was shown (`GET /v1/denials/{id}`), as of a denial of the broker's own. Changes nothing of what was decided.
 */
export class Witness {
  readonly #options: WitnessOptions;
  #atOnce = 0;
  #silentUntil = 0;

  constructor(options: WitnessOptions) {
    this.#options = options;
  }

  /** The broker's id of the denial; undefined where it cannot be asked, or would have decided otherwise. Never throws. */
  async record(denied: Denied): Promise<string | undefined> {
    const { monotonic } = this.#options;
    if (this.#atOnce >= MAX_AT_ONCE || monotonic() < this.#silentUntil) return undefined;
    this.#atOnce += 1;
    try {
      return await this.#ask(denied);
    } catch {
      this.#silentUntil = monotonic() + PAUSE_MS;
      return undefined;
    } finally {
      this.#atOnce -= 1;
    }
  }

  async #ask({ token, cnf, original: { method, target: path, host, ip } }: Denied): Promise<string | undefined> {
    const { url, name, key, fetch } = this.#options;
    const response = await fetch(`${url}/v1/authorize`, {
      method: "POST",
      headers: {
        authorization: `Basic ${Buffer.from(`${encodeURIComponent(name)}:${encodeURIComponent(key)}`).toString("base64")}`,
        "content-type": "application/json",
      },
      body: JSON.stringify({ token, method, path, host, ip, cnf }),
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const { decision, denial_id: denialId } = AuthorizeView.parse(await response.json());
    return decision ? undefined : denialId;
  }
}
