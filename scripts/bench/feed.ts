import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BUCKETS, type LeaseId } from "../../domain/ids.ts";
import { openStore } from "../../store/open.ts";
import { cpuMsOf } from "./children.ts";
import type { BenchOptions } from "./options.ts";
import { startBroker, type Program } from "./programs.ts";
import { openRedis } from "./redis.ts";
import { BASIC, createScenario, type Scenario } from "./scenario.ts";

/** How long it takes until verifiers' sockets have been told; milliseconds over all verifiers and rounds. */
export interface DeliveryFigures {
  readonly verifiers: number;
  readonly rounds: number;
  /** From a holder giving a token back at the broker (`/oauth2/revoke`). */
  readonly asked: Percentiles;
  /** From the store being told to end a lease: what the feed itself takes. */
  readonly ended: Percentiles;
  /** From the first of 64 buckets being given a mark on a grant, until the first words of it. */
  readonly marked: Percentiles;
  /** CPU of the broker for each second while nothing happens but heartbeats, */
  readonly idleCpuMs: number;
  /** and for each round beyond that: two tokens issued, one given back, everybody told twice, and a quarter of a mark. */
  readonly roundCpuMs: number;
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface FeedBenchOptions extends Pick<BenchOptions, "fsync" | "profile" | "say"> {
  /** How many verifiers are connected, one figure each. */
  readonly verifiers: readonly number[];
  readonly rounds: number;
}

/** Starts a Redis and a broker of its own, and measures how fast the feed tells. The verifiers are in this process: pin it where it should be. */
export async function measureFeed(options: FeedBenchOptions): Promise<readonly DeliveryFigures[]> {
  const folder = await mkdtemp(join(tmpdir(), "stint-bench-feed-"));
  try {
    await using redis = await openRedis(options.fsync);
    const scenario = await createScenario();
    await using broker = await startBroker(scenario, redis.url, folder, options.profile);
    const figures: DeliveryFigures[] = [];
    for (const verifiers of options.verifiers) {
      options.say(`the feed with ${verifiers} verifiers`);
      figures.push(await measureOne({ broker, scenario, redisUrl: redis.url }, verifiers, options.rounds));
    }
    return figures;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Between two measurements: longer than the follower rests after telling a thousand. */
const BREATH_MS = 150;

interface World {
  readonly broker: Program;
  readonly scenario: Scenario;
  readonly redisUrl: string;
}

async function measureOne({ broker, scenario, redisUrl }: World, verifiers: number, rounds: number): Promise<DeliveryFigures> {
  const store = await openStore({ url: redisUrl });
  const listeners = await Promise.all(Array.from({ length: verifiers }, (_, index) => Listener.open(broker, `bench-${index}`)));
  try {
    const idle = await idleCpuMs(broker);
    const asked: number[] = [];
    const ended: number[] = [];
    const marked: number[] = [];
    const bodies = await scenario.mint(rounds * 2, "ES256", broker.url);
    const began = { cpu: cpuMsOf(broker.pid) ?? Number.NaN, at: performance.now() };
    for (let round = 0; round < rounds; round += 1) {
      const [one, two] = [await issue(broker, bodies[2 * round] ?? ""), await issue(broker, bodies[2 * round + 1] ?? "")];
      const form = new URLSearchParams({ token: one.text }).toString();
      asked.push(...(await told(listeners, one.lease, () => post(broker, "/oauth2/revoke", form))));
      await pause(BREATH_MS);
      ended.push(
        ...(await told(listeners, two.lease, () => store.leases.end(two.lease, "revoked", { action: "lease.ended", principal: "bench" }))),
      );
      await pause(BREATH_MS);
      if (round % 4 === 0) marked.push(...(await told(listeners, `"scope":"grant"`, () => markAll(store, round))));
      await pause(BREATH_MS);
    }
    const spent = (cpuMsOf(broker.pid) ?? Number.NaN) - began.cpu - (idle * (performance.now() - began.at)) / 1000;
    return {
      verifiers,
      rounds,
      asked: percentiles(asked),
      ended: percentiles(ended),
      marked: percentiles(marked),
      idleCpuMs: idle,
      roundCpuMs: spent / rounds,
    };
  } finally {
    for (const listener of listeners) listener.close();
    await store.close();
  }
}

/** Milliseconds from the beginning of `act` until each listener has been told. */
async function told(listeners: readonly Listener[], text: string, act: () => Promise<unknown>): Promise<readonly number[]> {
  const began = performance.now();
  const heard = listeners.map((listener) => listener.hear(text));
  await act();
  return (await Promise.all(heard)).map((at) => at - began);
}

async function markAll(store: Awaited<ReturnType<typeof openStore>>, round: number): Promise<void> {
  const scope = { kind: "grant", name: `deploy-${String(90 + (round % 10)).padStart(3, "0")}` } as const;
  const audit = { action: "revocation.started", principal: "bench" } as const;
  const buckets = Array.from({ length: BUCKETS }, (_, bucket) => bucket);
  await Promise.all(buckets.map((bucket) => store.revocations.mark(bucket, scope, store.clock.now(), audit)));
}

/** A verifier's connection that looks for a text in what comes, and does nothing else: thousands fit into one process. */
class Listener {
  readonly #socket: Socket;
  #wanted: { readonly text: string; readonly done: (at: number) => void } | undefined;
  #tail = "";

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
  }

  static open(broker: Program, instance: string): Promise<Listener> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port: broker.port, noDelay: true });
      socket.once("error", reject);
      socket.once("connect", () => {
        const listener = new Listener(socket);
        void listener.hear("event: sync").then(() => resolve(listener));
        socket.write(`GET /v1/feed?instance=${instance} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: ${BASIC}\r\n\r\n`);
      });
    });
  }

  /** When the text has come, by `performance.now`. */
  hear(text: string): Promise<number> {
    return new Promise((done) => (this.#wanted = { text, done }));
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    if (this.#wanted === undefined) return;
    const { text, done } = this.#wanted;
    const seen = this.#tail + chunk.toString("latin1");
    this.#tail = seen.slice(-text.length);
    if (!seen.includes(text)) return;
    this.#wanted = undefined;
    this.#tail = "";
    done(performance.now());
  }
}

async function issue(broker: Program, body: string): Promise<{ readonly text: string; readonly lease: LeaseId }> {
  const answer = (await (await post(broker, "/oauth2/token", body)).json()) as {
    readonly access_token: string;
    readonly lease_id: LeaseId;
  };
  return { text: answer.access_token, lease: answer.lease_id };
}

async function post(broker: Program, path: string, body: string): Promise<Response> {
  const response = await fetch(`${broker.url}${path}`, {
    method: "POST",
    body,
    headers: { "content-type": "application/x-www-form-urlencoded" },
  });
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  return response;
}

/** CPU that it uses in a second with nothing to tell; not a number where that cannot be known. */
async function idleCpuMs({ pid }: Program): Promise<number> {
  const before = cpuMsOf(pid) ?? Number.NaN;
  await pause(3_000);
  return ((cpuMsOf(pid) ?? Number.NaN) - before) / 3;
}

function percentiles(values: readonly number[]): Percentiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? Number.NaN };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
