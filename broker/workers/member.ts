import type { Worker } from "node:cluster";
import { once } from "node:events";
import type { Snapshot } from "../telemetry/together.ts";
import type { ToWorker } from "./messages.ts";

/** A worker that was told to stop is killed after this long. */
const STOP_MS = 11_000;

/** A worker that could not serve, and with what code it ended. */
export class WorkerFailed extends Error {
  override readonly name = "WorkerFailed";
  readonly exitCode: number;
  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** One worker process, as the primary process sees it. */
export class Member {
  readonly worker: Worker;
  readonly startedAt = performance.now();
  serving = false;
  leaving = false;
  watched = false;
  unanswered = 0;
  lastWord: Snapshot | undefined;
  readonly #missed = new Map<ToWorker["say"], ToWorker>();

  constructor(worker: Worker) {
    this.worker = worker;
  }

  /** Lets it start. The only thing that it hears before it serves. */
  begin(socketPath: string | undefined): void {
    this.#send({ say: "begin", socketPath });
  }

  /** It serves, and hears: what was said meanwhile it is told now. */
  serves(): void {
    this.serving = true;
    for (const message of this.#missed.values()) this.#send(message);
    this.#missed.clear();
  }

  /** Says it as soon as it serves: the last of each kind, for one reload reads all that came before it. */
  say(message: ToWorker): void {
    if (this.serving) this.#send(message);
    else this.#missed.set(message.say, message);
  }

  #send(message: ToWorker): void {
    if (this.worker.isConnected()) this.worker.send(message, () => undefined); // one that is gone has no ears, and `exit` says so
  }

  ask(id: number): void {
    this.say({ say: "count", id });
  }

  /** Lets it end what is under way; resolves when it is gone. */
  async dismiss(): Promise<void> {
    this.leaving = true;
    if (this.worker.isDead()) return;
    const gone = once(this.worker, "exit");
    this.say({ say: "stop" });
    const timer = setTimeout(() => this.worker.process.kill("SIGKILL"), STOP_MS);
    await gone;
    clearTimeout(timer);
  }
}
