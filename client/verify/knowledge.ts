import { FeedClient } from "./feed-client.ts";
import { Freshness } from "./freshness.ts";
import type { VerifierSettings } from "./options.ts";
import { Revocations } from "./revocations.ts";

export interface KnowledgeState {
  /** Whether tokens are honoured without asking anybody. */
  readonly fresh: boolean;
  /** Age of what is known about revocations, in milliseconds; undefined before anything is, and without the feed. */
  readonly staleMs: number | undefined;
  readonly connected: boolean;
  readonly revoked: { readonly leases: number; readonly marks: number; readonly bytes: number };
}

/** `ready` looks again after this long even when nothing was heard: keys come by another way. */
const LOOK_AGAIN_MS = 1_000;

/** What is known about revocations, how old that is, and the feed it comes from. Without the feed nothing is known, and nothing is old. */
export class Knowledge {
  readonly revocations: Revocations;
  readonly #settings: VerifierSettings;
  readonly #freshness: Freshness;
  readonly #feed: FeedClient | undefined;
  readonly #waiting = new Set<() => void>();
  #fresh = false;

  constructor(settings: VerifierSettings) {
    this.#settings = settings;
    this.revocations = new Revocations({ graceSeconds: settings.toleranceSeconds + 10, maxLeases: settings.maxRevoked });
    this.#freshness = new Freshness(settings.clock);
    if (settings.revocation !== "feed") return;
    this.#feed = new FeedClient(settings, this.revocations, this.#freshness, () => this.#heard());
    this.#feed.start();
  }

  /** The issuer's clock had reached this instant (milliseconds) for certain; 0: not known. */
  get asOf(): number {
    return this.#freshness.asOf;
  }

  /** Whether it is young enough to decide by; the log hears of each change. */
  isFresh(): boolean {
    if (this.#feed === undefined) return true;
    const { maxStalenessMs, log, onStale } = this.#settings;
    const fresh = this.#freshness.ageMs <= maxStalenessMs;
    if (fresh !== this.#fresh) {
      this.#fresh = fresh;
      if (fresh) log({ level: "info", event: "fresh", message: "what is known about revocations is fresh" });
      else {
        const then = onStale === "deny" ? "everything is refused" : "the broker is asked about every token";
        log({ level: "warn", event: "stale", message: `what is known about revocations is too old: ${then} until the feed is back` });
      }
    }
    return fresh;
  }

  state(): KnowledgeState {
    const age = this.#freshness.ageMs;
    const { leases, marks, byteLength: bytes } = this.revocations;
    return {
      fresh: this.isFresh(),
      staleMs: this.#feed === undefined || !Number.isFinite(age) ? undefined : Math.round(age),
      connected: this.#feed?.connected ?? false,
      revoked: { leases, marks, bytes },
    };
  }

  /** Resolves when something may have changed: the feed spoke, it was closed, or a little time passed. */
  change(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        cancel();
        this.#waiting.delete(wake);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      // whoever waits for a verifier to be ready has something to do afterwards
      const cancel = this.#settings.clock.after(LOOK_AGAIN_MS, wake, "held");
      this.#waiting.add(wake);
      if (signal?.aborted === true) wake();
      else signal?.addEventListener("abort", wake, { once: true });
    });
  }

  async close(): Promise<void> {
    await this.#feed?.close();
    this.#wake();
  }

  #heard(): void {
    if (this.isFresh()) this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }
}
