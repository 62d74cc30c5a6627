import { legacy, type Snapshot } from "../telemetry/together.ts";

/** A worker that does not say what it has counted by then is left out, with what it said last instead. */
const COUNT_MS = 1_500;

/** What can be asked for its figures. */
export interface Counting {
  /** Asks; the answer comes to `Ledger.counted` with the same id. */
  ask(id: number): void;
}

/** What all workers have counted, those included that have ended. */
export class Ledger<M extends Counting> {
  readonly #last = new Map<M, Snapshot>();
  readonly #waiting = new Map<number, () => void>();
  #ended: Snapshot = [];
  #asked = 0;
  #adding: Promise<void> = Promise.resolve();

  /** The figures of these workers, and what ended ones have left. */
  async gather(from: readonly M[]): Promise<readonly Snapshot[]> {
    await Promise.all(from.map((member) => this.#ask(member)));
    await this.#adding;
    return [this.#ended, ...from.map((member) => this.#last.get(member) ?? [])].filter((snapshot) => snapshot.length > 0);
  }

  /** What it has counted so far; `id` is that of the question. */
  counted(member: M, snapshot: Snapshot, id?: number): void {
    this.#last.set(member, snapshot);
    if (id !== undefined) this.#waiting.get(id)?.();
  }

  /** It will count no more; `snapshot` is its last word, if it had time for one. */
  ended(member: M, snapshot: Snapshot | undefined): void {
    const last = snapshot ?? this.#last.get(member);
    this.#last.delete(member);
    if (last === undefined) return;
    this.#adding = this.#adding.then(async () => void (this.#ended = await legacy([this.#ended, last])));
  }

  #ask(member: M): Promise<void> {
    this.#asked += 1;
    const id = this.#asked;
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve();
      };
      const timer = setTimeout(done, COUNT_MS);
      this.#waiting.set(id, done);
      member.ask(id);
    });
  }
}
