import type { VerifierClock } from "./clock.ts";
import { type Fetch, HttpFailure, fetchText } from "./http.ts";
import type { VerifierLog } from "./log.ts";

/** That a token was met, and what became of it. */
export interface Use {
  readonly lease: string;
  /** Milliseconds since 1970; of several alike, the last. */
  readonly at: number;
  /** Honoured; refused because its lease had ended; or refused for another reason. */
  readonly outcome: "accepted" | "ended" | "refused";
  readonly route?: string | undefined;
  /** An IP address. */
  readonly source?: string | undefined;
}

export interface ReportSettings {
  readonly issuer: string;
  readonly authorization: string;
  readonly instance: string;
  readonly fetch: Fetch;
  readonly clock: VerifierClock;
  readonly log: VerifierLog;
}

interface CountedUse extends Use {
  readonly count: number;
}

const EVERY_MS = 10_000;
const AT_ONCE = 100;
const MAX_COUNT = 1_000_000;
const MAX_WAITING = 1_000;
/** A broker that takes no reports is asked again after this long. */
const REFUSED_MS = 600_000;
const MAX_ROUTE = 160;
const ADDRESS = /^[0-9A-Fa-f.:]{2,45}$/;

/**
 * Tells the broker which leases are used, so that it can say when one last was, or that one is used after its end. Uses that are
 * alike are one; they are sent every ten seconds or a hundred at a time; what does not fit or cannot be sent is dropped and
 * counted. No request ever waits for it.
 */
export class UseReports {
  readonly #settings: ReportSettings;
  #waiting = new Map<string, CountedUse>();
  #cancel: (() => void) | undefined;
  #sending: Promise<void> | undefined;
  #notBefore = Number.NEGATIVE_INFINITY;
  #dropped = 0;
  #closed = false;

  constructor(settings: ReportSettings) {
    this.#settings = settings;
  }

  /** Uses that were not reported. */
  get dropped(): number {
    return this.#dropped;
  }

  add(use: Use): void {
    if (this.#closed) return;
    const { lease, outcome } = use;
    const route = use.route === undefined ? undefined : printable(use.route);
    const source = use.source !== undefined && ADDRESS.test(use.source) ? use.source : undefined;
    const like = `${lease} ${outcome} ${source ?? ""} ${route ?? ""}`;
    const before = this.#waiting.get(like);
    if (before === undefined && this.#waiting.size >= MAX_WAITING) {
      this.#dropped++;
      return;
    }
    this.#waiting.set(like, {
      lease,
      at: Math.round(use.at),
      outcome,
      count: Math.min((before?.count ?? 0) + 1, MAX_COUNT),
      route,
      source,
    });
    if (this.#waiting.size >= AT_ONCE) this.#send();
    else this.#cancel ??= this.#settings.clock.after(EVERY_MS, () => this.#send());
  }

  /** Sends what is left, once. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#sending;
    this.#send();
    await this.#sending;
  }

  #send(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#sending !== undefined || this.#waiting.size === 0) return;
    const uses = [...this.#waiting.values()];
    if (this.#settings.clock.monotonic() < this.#notBefore) {
      this.#waiting = new Map();
      this.#dropped += uses.length;
      return;
    }
    const [batch, rest] = [uses.slice(0, AT_ONCE), [...this.#waiting].slice(AT_ONCE)];
    this.#waiting = new Map(rest);
    this.#sending = this.#post(batch).finally(() => {
      this.#sending = undefined;
      if (this.#waiting.size >= AT_ONCE) this.#send();
      else if (this.#waiting.size > 0 && !this.#closed) this.#cancel ??= this.#settings.clock.after(EVERY_MS, () => this.#send());
    });
  }

  async #post(uses: readonly CountedUse[]): Promise<void> {
    const { issuer, authorization, instance, fetch, clock, log } = this.#settings;
    const headers = { authorization, "content-type": "application/json" };
    try {
      const body = JSON.stringify({ instance, uses });
      await fetchText(fetch, clock, `${issuer}/v1/feed/used`, { method: "POST", headers, body, maxBytes: 65_536, timeoutMs: 5_000 });
    } catch (error) {
      this.#dropped += uses.length;
      const refused =
        error instanceof HttpFailure && error.status !== undefined && error.status >= 400 && error.status < 500 && error.status !== 429;
      if (refused) this.#notBefore = clock.monotonic() + REFUSED_MS;
      const reason = error instanceof Error ? error.message : "unknown";
      log({ level: "info", event: "reports_failed", message: `the broker did not take reports of use: ${reason}`, reason });
    }
  }
}

/** Text that a log may show as it is. */
const printable = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, MAX_ROUTE);
