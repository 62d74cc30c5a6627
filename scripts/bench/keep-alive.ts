import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** One run of load against one path. */
export interface Job {
  readonly port: number;
  readonly path: string;
  /** Header lines beyond Host, Content-Type and Content-Length, without line ends. */
  readonly headers: readonly string[];
  /** One form body per request, so that each can carry evidence of its own. */
  readonly bodies: readonly string[];
  /** Begin again when they are used up; otherwise the run ends there. */
  readonly cycle: boolean;
  readonly connections: number;
  /** The run ends after this time; requests under way are finished. */
  readonly ms: number;
  /** Every answer must have this status and hold this text. */
  readonly expect: { readonly status: number; readonly text: string };
  /** This member of each answer is handed back. */
  readonly collect: string | undefined;
  /** Requests a second at a steady pace; latency then counts from when a request was due, not from when it could be sent. */
  readonly pace: number | undefined;
  /** Refusals for want of room (429, 503) are counted apart, and latency counts from when a request was sent. */
  readonly overload?: true;
}

export interface JobResult {
  readonly done: number;
  /** Until the last answer, of whatever kind. */
  readonly ms: number;
  /** Those that were answered before the run's time was over, a second. A refusal that is held back goes on for longer than the run. */
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failed: number;
  /** Refused for want of room; not among `done`. */
  readonly shed: number;
  /** The first answer that was not as expected. */
  readonly firstFailure: string | undefined;
  readonly collected: readonly string[];
}

/**
 * A bare HTTP/1.1 client over kept-alive sockets: what the load costs is taken from Redis and not from the server, so it must be
 * little. It understands answers with a Content-Length, which is what both programs send.
 */
export async function drive(job: Job): Promise<JobResult> {
  const sockets = await Promise.all(Array.from({ length: job.connections }, () => connected(job.port)));
  await pause(SETTLE_MS);
  const run = new Run(job, sockets);
  await run.finished();
  return run.result();
}

/** Until the server has taken in all of them: hundreds of new connections at once are another thing to measure. */
const SETTLE_MS = 250;

async function connected(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  return socket;
}

class Run {
  readonly #job: Job;
  readonly #head: string;
  readonly #latencies: number[] = [];
  readonly #collected: string[] = [];
  readonly #member: string;
  readonly #startedAt = performance.now();
  readonly #lanes: Promise<void>[];
  #next = 0;
  #failed = 0;
  #shed = 0;
  #inTime = 0;
  #firstFailure: string | undefined;
  #endedAt = 0;

  constructor(job: Job, sockets: readonly Socket[]) {
    this.#job = job;
    this.#member = `"${job.collect}":"`;
    const lines = [
      `POST ${job.path} HTTP/1.1`,
      `Host: 127.0.0.1:${job.port}`,
      "Content-Type: application/x-www-form-urlencoded",
      ...job.headers,
    ];
    this.#head = `${lines.join("\r\n")}\r\nContent-Length: `;
    this.#lanes = sockets.map((socket) => this.#lane(socket));
  }

  async finished(): Promise<void> {
    await Promise.all(this.#lanes);
    this.#endedAt = performance.now();
  }

  result(): JobResult {
    const sorted = this.#latencies.toSorted((a, b) => a - b);
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
    const ms = this.#endedAt - this.#startedAt;
    return {
      done: sorted.length,
      ms,
      perSecond: (this.#inTime * 1000) / Math.min(ms, this.#job.ms),
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      failed: this.#failed,
      shed: this.#shed,
      firstFailure: this.#firstFailure,
      collected: this.#collected,
    };
  }

  /** The next body and when it is due; undefined when the run is over. */
  #take(): { readonly body: string; readonly dueAt: number } | undefined {
    const { bodies, cycle, pace, ms } = this.#job;
    const index = this.#next;
    const now = performance.now();
    const dueAt = pace === undefined ? now : this.#startedAt + (index * 1000) / pace;
    if (Math.max(now, dueAt) - this.#startedAt >= ms || (!cycle && index >= bodies.length)) return undefined;
    this.#next += 1;
    const body = bodies[index % bodies.length];
    return body === undefined ? undefined : { body, dueAt };
  }

  /** One connection: a request, its answer, the next. */
  #lane(socket: Socket): Promise<void> {
    return new Promise((resolve, reject) => {
      let sentAt = 0;
      let held = "";
      const send = (): void => {
        const taken = this.#take();
        if (taken === undefined) {
          socket.destroy();
          resolve();
          return;
        }
        // past saturation a request is due long before there is a connection for it
        sentAt = this.#job.overload === true ? Math.max(taken.dueAt, performance.now()) : taken.dueAt;
        const wait = taken.dueAt - performance.now();
        const write = (): void => void socket.write(`${this.#head}${taken.body.length}\r\n\r\n${taken.body}`, "latin1");
        if (wait > 0.5) setTimeout(write, wait);
        else write();
      };
      socket.on("data", (chunk: Buffer) => {
        held = held === "" ? chunk.toString("latin1") : held + chunk.toString("latin1");
        const answer = whole(held);
        if (answer === undefined) return;
        if (this.#job.overload === true && (answer.status === 429 || answer.status === 503)) this.#shed += 1;
        else {
          const now = performance.now();
          this.#latencies.push(now - sentAt);
          if (now - this.#startedAt <= this.#job.ms) this.#inTime += 1;
          this.#check(held, answer);
        }
        held = "";
        send();
      });
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("the server closed a connection under load")));
      send();
    });
  }

  #check(text: string, answer: Whole): void {
    const { expect, collect } = this.#job;
    if (answer.status !== expect.status || !text.includes(expect.text, answer.bodyAt)) {
      this.#failed += 1;
      this.#firstFailure ??= `${answer.status} ${text.slice(answer.bodyAt, answer.bodyAt + 400)}`;
      return;
    }
    if (collect === undefined) return;
    const from = text.indexOf(this.#member, answer.bodyAt) + this.#member.length;
    this.#collected.push(text.slice(from, text.indexOf('"', from)));
  }
}

interface Whole {
  readonly status: number;
  readonly bodyAt: number;
}

/** Where the body begins once all of it has arrived. */
function whole(text: string): Whole | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end))?.[1];
  if (length === undefined) throw new Error(`an answer without Content-Length: ${text.slice(0, end)}`);
  const bodyAt = end + 4;
  return text.length < bodyAt + Number(length) ? undefined : { status: Number(text.slice(9, 12)), bodyAt };
}
