import { Acknowledgements } from "./acknowledgements.ts";
import { backoffMs } from "./backoff.ts";
import { readJson, readLeases, readMark, readPosition, readWhole, type FeedMark, type RevokedLease } from "./feed-events.ts";
import type { Freshness } from "./freshness.ts";
import { type FeedSettings, openFeed, openSnapshot, postSeen } from "./feed-requests.ts";
import { HttpFailure } from "./http.ts";
import { FeedProtocolError } from "./lines.ts";
import type { Revocations } from "./revocations.ts";
import { readSnapshot } from "./snapshot.ts";
import { EventParser, type ServerSentEvent } from "./sse.ts";

/** A connection that lived this long was a good one: the next attempt is a first one. */
const GOOD_MS = 5_000;
/** A connection whose time stands still is changed for another, but not more often than this. */
const RENEW_MS = 30_000;
/** After a refusal of our name and key: guesses are counted. */
const REFUSED_MS = 10_000;

/**
 * Keeps revocations up to date: a snapshot first, then the stream from its position, for as long as it is open; whatever goes
 * wrong is logged and tried again. It only adds to what is known. Freshness is proven by the live stream alone.
 */
export class FeedClient {
  readonly #settings: FeedSettings;
  readonly #revocations: Revocations;
  readonly #freshness: Freshness;
  readonly #stop = new AbortController();
  readonly #acknowledgements: Acknowledgements;
  #position: string | undefined;
  #connected = false;
  #streamStarted = 0;
  #retryMs: number | undefined;
  #running: Promise<void> | undefined;
  #overflowed = 0;
  readonly #onEvent: () => void;

  constructor(settings: FeedSettings, revocations: Revocations, freshness: Freshness, onEvent: () => void) {
    this.#settings = settings;
    this.#revocations = revocations;
    this.#freshness = freshness;
    this.#onEvent = onEvent;
    this.#acknowledgements = new Acknowledgements(settings.clock, (appliedAt) => this.#acknowledge(appliedAt));
  }

  get connected(): boolean {
    return this.#connected;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort(new HttpFailure("closed"));
    this.#acknowledgements.close();
    await this.#running;
  }

  get #closed(): boolean {
    return this.#stop.signal.aborted;
  }

  async #run(): Promise<void> {
    let attempt = 0;
    while (!this.#closed) {
      let pauseMs = 0;
      this.#streamStarted = Number.POSITIVE_INFINITY;
      try {
        this.#position ??= await this.#snapshot();
        await this.#follow(this.#position);
      } catch (error) {
        pauseMs = this.#failed(error);
      }
      this.#connected = false;
      if (this.#settings.clock.monotonic() - this.#streamStarted > GOOD_MS) attempt = 0;
      if (!this.#closed) await this.#pause(Math.max(pauseMs, backoffMs(attempt++, this.#retryMs)));
    }
  }

  /** Says why, and how long to stay away at least. */
  #failed(error: unknown): number {
    if (this.#closed) return 0;
    const { log } = this.#settings;
    const status = error instanceof HttpFailure ? error.status : undefined;
    const reason = error instanceof Error ? error.message : "unknown";
    if (status === 401 || status === 403 || status === 429) {
      log({ level: "warn", event: "feed_refused", message: `the feed refuses this verifier's name and key (${status})`, reason });
      return REFUSED_MS;
    }
    // a position that is refused, rather than answered with a reset, would be refused for ever
    if (status !== undefined && status >= 400 && status < 500) this.#position = undefined;
    log({ level: "warn", event: "feed_lost", message: `the feed was lost and will be tried again: ${reason}`, reason });
    return 0;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const finish = (): void => {
        cancel();
        this.#stop.signal.removeEventListener("abort", finish);
        resolve();
      };
      const cancel = this.#settings.clock.after(ms, finish);
      this.#stop.signal.addEventListener("abort", finish, { once: true });
    });
  }

  async #snapshot(): Promise<string> {
    const { issuer, audience, clock } = this.#settings;
    const { chunks } = await openSnapshot(this.#settings, this.#stop.signal);
    const now = clock.now();
    return readSnapshot(
      chunks,
      { issuer, audience, now },
      { leases: (leases) => this.#revoke(leases, now), mark: (mark) => this.#mark(mark) },
    );
  }

  async #follow(position: string): Promise<void> {
    const { clock, log } = this.#settings;
    const { date, chunks } = await openFeed(this.#settings, position, this.#stop.signal);
    this.#freshness.connected(date);
    this.#connected = true;
    this.#streamStarted = clock.monotonic();
    log({ level: "info", event: "feed_connected", message: "the feed is connected" });
    const parser = new EventParser();
    for await (const chunk of chunks) {
      for (const event of parser.push(chunk)) if (this.#take(event) === "reset") return;
      this.#retryMs = parser.retryMs === undefined ? undefined : Math.min(Math.max(parser.retryMs, 50), 2_000);
    }
    throw new HttpFailure("it ended");
  }

  #take({ event, data, id }: ServerSentEvent): "reset" | "taken" {
    if (event === "reset") {
      this.#position = undefined;
      this.#settings.log({ level: "info", event: "feed_reset", message: "the feed asks for a new snapshot" });
      return "reset";
    }
    if (event !== "sync" && event !== "revoked" && event !== "mark") return "taken";
    const { clock } = this.#settings;
    const read = readJson(data);
    const asOf = readWhole(read, "as_of");
    const position = readPosition(id);
    if (event === "revoked") this.#revoke(readLeases(read["leases"]), clock.now());
    if (event === "mark") this.#mark(readMark(read, Math.max(asOf, clock.now())));
    this.#position = position;
    if (!this.#freshness.observe(asOf, "now" in read ? readWhole(read, "now") : asOf)) throw new FeedProtocolError("its time jumped ahead");
    this.#keepTidy(asOf);
    this.#onEvent();
    if (event === "sync") this.#acknowledgements.begin();
    else this.#acknowledgements.applied();
    return "taken";
  }

  /** What only time makes necessary. */
  #keepTidy(asOf: number): void {
    const { clock, maxStalenessMs, log } = this.#settings;
    // both clocks must agree that something is over before it is forgotten
    this.#revocations.compact(Math.min(asOf, clock.now()));
    if (this.#revocations.overflowed > this.#overflowed) {
      log({
        level: "warn",
        event: "feed_overflow",
        message: "more is revoked than fits into memory: every lease up to the newest of them is refused",
      });
    }
    this.#overflowed = this.#revocations.overflowed;
    if (this.#freshness.ageMs > maxStalenessMs && clock.monotonic() - this.#streamStarted > RENEW_MS) {
      throw new FeedProtocolError("its time stands still");
    }
  }

  #revoke(leases: readonly RevokedLease[], now: number): void {
    for (const { id, exp } of leases) this.#revocations.addLease(id, exp, now);
  }

  #mark({ kind, name, at }: FeedMark): void {
    this.#revocations.addMark(kind, name, at);
  }

  async #acknowledge(appliedAt: number): Promise<void> {
    if (this.#position === undefined || !this.#connected) return;
    try {
      await postSeen(this.#settings, this.#position, appliedAt);
    } catch (error) {
      const reason = error instanceof Error ? error.message : "unknown";
      const message = `the broker did not take what this verifier has seen: ${reason}`;
      this.#settings.log({ level: "info", event: "acknowledgement_failed", message, reason });
    }
  }
}
