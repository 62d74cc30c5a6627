import type { Worker } from "node:cluster";
import { once } from "node:events";
import type { Snapshot } from "../telemetry/together.ts";
import type { ToWorker } from "./messages.ts";

/** A worker that was told to stop is killed after this long. */
const STOP_MS = 11_000;

/** One worker process, as the primary process sees it. */
export class Member {
  readonly worker: Worker;
  readonly startedAt = performance.now();
  serving = false;
  leaving = false;
  watched = false;
  unanswered = 0;
  lastWord: Snapshot | undefined;

  constructor(worker: Worker) {
    this.worker = worker;
  }

  say(message: ToWorker): void {
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
