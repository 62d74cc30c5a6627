import { performance } from "node:perf_hooks";
import type { Writable } from "node:stream";

/** What the feed writes to: a response, or the socket beneath one. */
export type Sink = Pick<Writable, "write" | "destroy" | "destroyed" | "writableLength" | "writableNeedDrain" | "once" | "off">;

export interface ReaderLimits {
  /** With more than this unread it gets nothing new until it has read what it has, */
  readonly enoughBytes: number;
  /** with more than this it is cut off, */
  readonly unreadBytes: number;
  /** and when it has read nothing for this long. */
  readonly stallMs: number;
}

const LIMITS: ReaderLimits = { enoughBytes: 262_144, unreadBytes: 1_048_576, stallMs: 10_000 };

/** One connection that is written to and never waited for without end. */
export class Reader {
  readonly #sink: Sink;
  readonly #limits: ReaderLimits;
  #stalledSince: number | undefined;

  constructor(sink: Sink, limits: ReaderLimits = LIMITS) {
    this.#sink = sink;
    this.#limits = limits;
  }

  get gone(): boolean {
    return this.#sink.destroyed;
  }

  /** True while it has so much unread that more must wait. */
  get full(): boolean {
    return this.#sink.writableLength > this.#limits.enoughBytes;
  }

  write(text: string | Buffer): void {
    if (this.#sink.destroyed) return;
    if (this.#sink.writableLength > this.#limits.unreadBytes) return void this.#sink.destroy();
    if (this.#sink.write(text)) return;
    if (this.#stalledSince !== undefined) return;
    this.#stalledSince = performance.now();
    this.#sink.once("drain", () => (this.#stalledSince = undefined));
  }

  /** Ends the connection. */
  cut(): void {
    this.#sink.destroy();
  }

  /** Cuts it off if it has not read for too long. */
  check(): void {
    if (this.#stalledSince !== undefined && performance.now() - this.#stalledSince > this.#limits.stallMs) this.#sink.destroy();
  }

  /** Resolves when everything written has been taken, or the reader is gone; it is cut off when that takes too long. */
  async drained(): Promise<void> {
    if (!this.#sink.writableNeedDrain || this.#sink.destroyed) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#sink.off("drain", done).off("close", done);
        resolve();
      };
      const timer = setTimeout(() => void this.#sink.destroy(), this.#limits.stallMs);
      timer.unref();
      this.#sink.once("drain", done).once("close", done);
    });
  }
}
