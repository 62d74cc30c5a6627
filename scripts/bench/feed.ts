import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createVerifier, type Verifier } from "../../client/verify/index.ts";
import { bucketOfId } from "../../domain/ids.ts";
import { ALL_BUCKETS } from "../../store/keyspace.ts";
import { openStore, type OpenedStore } from "../../store/open.ts";
import { cpuMsOf, OTHER_CORE, pin, unpin } from "./children.ts";
import { crowd } from "./crowd.ts";
import { measuresOf, type Delivery, type Spread } from "./delivery.ts";
import { FLOOR_CHANNEL, Listener } from "./listener.ts";
import type { BenchOptions } from "./options.ts";
import { startBroker, startFeedFloor, type Program } from "./programs.ts";
import { openRedis, type BenchRedis } from "./redis.ts";
import { AUDIENCE, BASIC, createScenario, GRANTS, VERIFIER, type Scenario } from "./scenario.ts";
import { giveBack, issue, type Token } from "./token.ts";

/** How long it takes until verifiers have been told; milliseconds over all verifiers and rounds. */
export interface DeliveryFigures {
  readonly verifiers: number;
  readonly rounds: number;
  /** The leanest program that tells as many connections as much, from the same Redis, in the same rounds. */
  readonly floor: Spread;
  /** From the store being told to end a lease until its words are at the sockets: what the feed itself takes. */
  readonly ended: Spread;
  /** From a holder giving a token back at the broker (`/oauth2/revoke`). */
  readonly asked: Spread;
  /** From the first of 64 buckets being given a mark on a grant, until the first words of it. */
  readonly marked: Spread;
  /** Until a verifier that was told last refuses the token: its lease ended by itself, */
  readonly refusedOne: Spread;
  /** or by a mark on a workload with this many leases. */
  readonly refusedMark: Spread;
  readonly covered: number;
  /** CPU of the broker for each second while nothing happens but heartbeats, */
  readonly idleCpuMs: number;
  /** and for each round beyond that: three tokens issued, one given back, everybody told three times, and a quarter of a mark. */
  readonly roundCpuMs: number;
}

export interface FeedBenchOptions extends Pick<BenchOptions, "fsync" | "profile" | "say" | "leases"> {
  /** How many verifiers are connected, one figure each. */
  readonly verifiers: readonly number[];
  readonly rounds: number;
}

interface World {
  readonly broker: Program;
  readonly floor: Program;
  readonly redis: BenchRedis;
  readonly store: OpenedStore;
  readonly scenario: Scenario;
  readonly covered: number;
}

/** Starts a Redis and a broker of its own, and measures how fast the feed tells. The verifiers are in this process, away from the broker's core. */
export async function measureFeed(options: FeedBenchOptions): Promise<readonly DeliveryFigures[]> {
  const folder = await mkdtemp(join(tmpdir(), "stint-bench-feed-"));
  pin(process.pid, OTHER_CORE);
  try {
    await using redis = await openRedis(options.fsync);
    const scenario = await createScenario();
    await using floor = await startFeedFloor(redis.url);
    await using broker = await startBroker(scenario, redis.url, folder, options.profile);
    const store = await openStore({ url: redis.url });
    try {
      options.say(`a workload with ${options.leases} leases`);
      const [first = ""] = await scenario.mint(1, "ES256", broker.url);
      await crowd(redis.client, (await issue(broker, first)).lease, options.leases);
      const world: World = { broker, floor, redis, store, scenario, covered: options.leases };
      const figures: DeliveryFigures[] = [];
      for (const verifiers of options.verifiers) {
        options.say(`the feed with ${verifiers} verifiers`);
        figures.push(await measureOne(world, verifiers, options.rounds));
      }
      return figures;
    } finally {
      await store.close();
    }
  } finally {
    unpin(process.pid);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Between two measurements: longer than the follower rests after telling a thousand. */
const BREATH_MS = 100;

async function measureOne(world: World, verifiers: number, rounds: number): Promise<DeliveryFigures> {
  const { broker, floor, redis, store, covered } = world;
  const crowdOf = (program: Program): Promise<Listener[]> =>
    Promise.all(Array.from({ length: verifiers }, (_, index) => Listener.open(program.port, BASIC, `bench-${index}`)));
  const [bare, told] = [await crowdOf(floor), await crowdOf(broker)];
  // Connected last, so told last.
  await using verifier = createVerifier({ issuer: broker.url, audience: AUDIENCE, ...VERIFIER, reports: false, log: () => undefined });
  try {
    await verifier.ready();
    const idle = await idleCpuMs(broker);
    const took = {
      floor: [] as Delivery[],
      ended: [] as Delivery[],
      asked: [] as Delivery[],
      marked: [] as Delivery[],
      workload: [] as Delivery[],
    };
    const tokens = await tokensOf(world, rounds);
    const began = { cpu: cpuMsOf(broker.pid) ?? Number.NaN, at: performance.now() };
    for (const [round, { one, two, crowded }] of tokens.entries()) {
      const text = floorText(round);
      took.floor.push(await tell(bare, text, () => redis.client.publish(FLOOR_CHANNEL, text)));
      const ended = await issue(broker, one);
      await verifier.verify(ended.text);
      const end = (): Promise<unknown> => store.leases.end(ended.lease, "revoked", { action: "lease.ended", principal: "bench" });
      took.ended.push(await tell(told, ended.lease, end, { verifier, token: ended }));
      const asked = await issue(broker, two);
      took.asked.push(await tell(told, asked.lease, () => giveBack(broker, asked)));
      const marked = await issue(broker, crowded);
      await verifier.verify(marked.text);
      took.workload.push(await tell(told, `"scope":"workload"`, () => markOne(store, marked), { verifier, token: marked }));
      if (round % 4 === 0) took.marked.push(await tell(told, `"scope":"grant"`, () => markAll(store, round)));
    }
    const spent = (cpuMsOf(broker.pid) ?? Number.NaN) - began.cpu - (idle * (performance.now() - began.at)) / 1000;
    return { verifiers, rounds, covered, ...measuresOf(took), idleCpuMs: idle, roundCpuMs: spent / rounds };
  } finally {
    for (const listener of [...bare, ...told]) listener.close();
  }
}

/** Evidence for each round: for any two workloads, and for the one with the crowd. */
async function tokensOf({ scenario, broker }: World, rounds: number) {
  const bodies = await scenario.mint(rounds * GRANTS, "ES256", broker.url);
  // the first token of all was the first workload's, and a hundred go round
  return Array.from({ length: rounds }, (_, round) => {
    const at = round * GRANTS;
    return { one: bodies[at] ?? "", two: bodies[at + 1] ?? "", crowded: bodies[at + GRANTS - 1] ?? "" };
  });
}

/** As long as the words of one ended lease with their position. */
const floorText = (round: number): string =>
  `event: revoked\nid: ${"p".repeat(110)}\ndata: {"as_of":1795000000000,"round":"${round}."}\n\n`;

/** Milliseconds from the beginning of `act` until each listener has been told, and until the verifier refuses the token. */
async function tell(
  listeners: readonly Listener[],
  text: string,
  act: () => Promise<unknown>,
  last?: { readonly verifier: Verifier; readonly token: Token },
): Promise<Delivery> {
  await pause(BREATH_MS);
  const began = performance.now();
  const heard = listeners.map((listener) => listener.hear(text));
  await act();
  const told = (await Promise.all(heard)).map((at) => at - began);
  const refused = last === undefined ? undefined : (await refusedAt(last.verifier, last.token)) - began;
  return { told, refused };
}

/** Asks until the answer is no. */
async function refusedAt(verifier: Verifier, { text }: Token): Promise<number> {
  for (;;) {
    const refused = await verifier.verify(text).then(
      () => false,
      (error: unknown) => (error as { readonly reason?: unknown }).reason === "revoked" || Promise.reject(error as Error),
    );
    if (refused) return performance.now();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const AUDIT = { action: "revocation.started", principal: "bench" } as const;

async function markOne({ revocations, clock }: OpenedStore, { lease, subject }: Token): Promise<void> {
  await revocations.mark(bucketOfId(lease), { kind: "workload", name: subject }, Math.ceil(clock.now()), AUDIT);
}

async function markAll({ revocations, clock }: OpenedStore, round: number): Promise<void> {
  const scope = { kind: "grant", name: `deploy-${String(90 + (round % 10)).padStart(3, "0")}` } as const;
  await Promise.all(ALL_BUCKETS.map((bucket) => revocations.mark(bucket, scope, clock.now(), AUDIT)));
}

/** CPU that it uses in a second with nothing to tell; not a number where that cannot be known. */
async function idleCpuMs({ pid }: Program): Promise<number> {
  const before = cpuMsOf(pid) ?? Number.NaN;
  await pause(3_000);
  return ((cpuMsOf(pid) ?? Number.NaN) - before) / 3;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
