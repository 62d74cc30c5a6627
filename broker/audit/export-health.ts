import type { Clock } from "../../domain/time.ts";
import { StintError } from "../../domain/errors.ts";
import type { AuditStream } from "../../store/api.ts";
import { describe } from "../background.ts";

export interface ExporterStatus {
  /** False stops issuing; ending goes on whatever it says. */
  readonly healthy: boolean;
  /** Why not, in words for an operator. */
  readonly reason: string | undefined;
  /** Age of the oldest record not yet exported, when last looked. */
  readonly backlogMs: number;
}

export type StreamStates = Awaited<ReturnType<AuditStream["states"]>>;

/** A backlog older than this stops issuing. */
const BACKLOG_MS = 60_000;

/** What is known of the export: whether the last try failed, how long records wait, and when somebody last looked. */
export class ExportHealth {
  readonly #clock: Clock;
  #failure: string | undefined = "the audit has not been looked at yet";
  #lookedAt: number | undefined;
  #oldestAt: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  look(states: StreamStates): void {
    const waiting = states.flatMap(({ oldestAt }) => (oldestAt === undefined ? [] : [oldestAt]));
    this.#oldestAt = waiting.length === 0 ? undefined : Math.min(...waiting);
    this.#lookedAt = this.#clock();
  }

  failed(error: unknown): void {
    this.#failure = error instanceof StintError ? error.message : describe(error);
  }

  succeeded(): void {
    this.#failure = undefined;
  }

  /** Nothing waits of what was there at the last look. */
  caughtUp(exported: number): number {
    this.#oldestAt = undefined;
    return exported;
  }

  get failing(): boolean {
    return this.#failure !== undefined;
  }

  /** How long the oldest record has waited, of those that were there at the last look. */
  get backlogMs(): number {
    return this.#oldestAt === undefined ? 0 : Math.max(0, this.#clock() - this.#oldestAt);
  }

  status(): ExporterStatus {
    const now = this.#clock();
    const { backlogMs } = this;
    const reason =
      this.#failure ?? (backlogMs > BACKLOG_MS ? `records have waited for ${Math.round(backlogMs / 1000)} s` : this.#unseen(now));
    return { healthy: reason === undefined, reason, backlogMs };
  }

  #unseen(now: number): string | undefined {
    return this.#lookedAt !== undefined && now - this.#lookedAt <= BACKLOG_MS ? undefined : "nobody has looked at the audit for a minute";
  }
}
