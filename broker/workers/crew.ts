import cluster from "node:cluster";
import { setTimeout as pause } from "node:timers/promises";
import type { Logger } from "../telemetry/logger.ts";
import { killHanging } from "./hanging.ts";
import { Ledger } from "./ledger.ts";
import { Member, WorkerFailed } from "./member.ts";
import { isMessage, type FromWorker, type Serving, type ToWorker } from "./messages.ts";

export interface CrewOptions {
  readonly count: number;
  /** The program of a worker. */
  readonly exec: string;
  readonly socketPath: string | undefined;
  readonly logger: Logger;
}

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;
/** A worker that lived this long did not die of its start. */
const STEADY_MS = 10_000;

/**
 * The processes that serve: forked on one listener, which stays open as long as one of them lives. One that ends unasked is
 * replaced, after a pause that grows while it keeps happening. No worker leads: duties are divided by the store's claims and locks.
 */
export class Crew {
  readonly #options: CrewOptions;
  readonly #ledger = new Ledger<Member>();
  readonly #members = new Set<Member>();
  #hanging: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  #lost = 0;
  #stopping = false;
  #rolling = false;

  constructor(options: CrewOptions) {
    this.#options = options;
    cluster.schedulingPolicy = cluster.SCHED_RR;
    cluster.setupPrimary({ exec: options.exec });
  }

  /** Resolves when one worker serves and the others are on their way. Throws `WorkerFailed` when the first cannot serve. */
  async start(): Promise<Serving> {
    const serving = await this.#join();
    this.#fill();
    this.#hanging = killHanging(this.#serving);
    return serving;
  }

  /** All of them read their configuration anew. */
  reload(): void {
    this.#tellAll({ say: "reload" });
  }

  /** Replaces one after another: each leaves once its successor serves. A successor that cannot serve ends it, and nobody leaves. */
  async roll(): Promise<void> {
    if (this.#rolling || this.#stopping) return;
    this.#rolling = true;
    const { logger } = this.#options;
    try {
      for (const member of [...this.#members].filter(({ serving, leaving }) => serving && !leaving)) {
        if (!this.#members.has(member)) continue; // it has ended meanwhile, and is replaced for that
        if (!this.#stopping) await this.#join();
        if (this.#stopping) return;
        await member.dismiss();
      }
      logger.info({ workers: this.#serving().length }, "workers replaced");
    } catch (error) {
      logger.error({ error: error instanceof Error ? error.message : String(error) }, "workers not replaced; those that serve stay");
    } finally {
      this.#rolling = false;
      this.#fill();
    }
  }

  /** Lets all of them end what is under way. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#hanging);
    await Promise.all([...this.#members].map((member) => member.dismiss()));
  }

  /** SIGKILL for whoever is left. */
  kill(): void {
    for (const { worker } of this.#members) worker.process.kill("SIGKILL");
  }

  /** A new worker; resolves when it serves. */
  async #join(): Promise<Serving> {
    const member = new Member(cluster.fork());
    this.#members.add(member);
    return await new Promise<Serving>((resolve, reject) => {
      member.worker.on("message", (message: unknown) => {
        if (!isMessage(message)) return;
        const said = message as FromWorker;
        if (said.say === "here") member.begin(this.#options.socketPath);
        else if (said.say === "serving") {
          member.serves();
          resolve(said);
          member.say({ say: "watched", watched: this.#watchedElsewhere(member) });
        } else if (said.say === "failed") reject(new WorkerFailed(said.message, said.exitCode));
        else this.#heard(member, said);
      });
      member.worker.on("error", (error: unknown) => {
        if (member.worker.process.pid !== undefined) return; // of one that was forked `exit` tells all
        this.#members.delete(member);
        reject(new WorkerFailed(error instanceof Error ? error.message : String(error), 1));
      });
      member.worker.once("exit", (code, signal) => {
        reject(new WorkerFailed(`a worker ended with ${signal ?? code} before it served`, code === 78 ? 78 : 1));
        this.#gone(member, code, signal);
      });
    });
  }

  /** Starts as many as are missing: one that ends while there are more than enough, as in a roll, is not replaced at once. */
  #fill(): void {
    for (let missing = this.#options.count - this.#members.size; missing > 0; missing -= 1) void this.#keep();
  }

  /** As `join`, but again and again until there is one that serves, or as many as there should be. */
  async #keep(): Promise<void> {
    while (!this.#stopping && this.#members.size < this.#options.count) {
      try {
        return void (await this.#join());
      } catch (error) {
        const { logger } = this.#options;
        const failed = error instanceof Error ? error.message : String(error);
        logger.error({ error: failed, retry_ms: this.#retryMs }, "worker could not be started; it is tried again");
        await this.#backOff();
      }
    }
  }

  async #backOff(): Promise<void> {
    const ms = this.#retryMs;
    this.#retryMs = Math.min(ms * 2, LONGEST_RETRY_MS);
    await pause(ms);
  }

  #gone(member: Member, code: number, signal: string | null): void {
    this.#members.delete(member);
    this.#ledger.ended(member, member.lastWord);
    this.#passOnWatching();
    // One that never served is somebody's failed `join`, who goes on from there.
    if (!member.serving || member.leaving || this.#stopping) return;
    if (performance.now() - member.startedAt > STEADY_MS) this.#retryMs = FIRST_RETRY_MS;
    const asked = code === 0 && signal === null;
    if (!asked) {
      this.#lost += 1;
      this.#options.logger.error({ pid: member.worker.process.pid, code, signal, retry_ms: this.#retryMs }, "worker ended; it is replaced");
    }
    void (asked ? this.#keep() : this.#backOff().then(() => this.#keep()));
  }

  #heard(member: Member, message: FromWorker): void {
    switch (message.say) {
      case "alive":
        return void (member.unanswered = 0);
      case "counted":
        return this.#ledger.counted(member, message.snapshot, message.id);
      case "ended":
        return void (member.lastWord = message.snapshot);
      case "gather":
        this.#ledger.counted(member, message.snapshot);
        return void this.#gather(member, message.id);
      case "watched":
        member.watched = message.watched;
        return this.#passOnWatching();
      case "event":
        for (const other of this.#members) if (other !== member && other.watched) other.say(message);
        return;
      case "here":
      case "serving":
      case "failed":
    }
  }

  async #gather(asker: Member, id: number): Promise<void> {
    const serving = this.#serving();
    const others = await this.#ledger.gather(serving.filter((member) => member !== asker));
    asker.say({ say: "gathered", id, others, serving: serving.length, lost: this.#lost });
  }

  #passOnWatching(): void {
    for (const member of this.#serving()) member.say({ say: "watched", watched: this.#watchedElsewhere(member) });
  }

  #watchedElsewhere = (member: Member): boolean => [...this.#members].some((other) => other !== member && other.watched);
  #serving = (): readonly Member[] => [...this.#members].filter(({ serving }) => serving);

  #tellAll(message: ToWorker): void {
    for (const member of this.#members) member.say(message);
  }
}
