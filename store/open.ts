import { randomUUID } from "node:crypto";
import { StintError } from "../domain/errors.ts";
import { BUCKETS } from "../domain/ids.ts";
import { systemClock, type Clock } from "../domain/time.ts";
import type { Store, StoreClock, StoreFacts } from "./api.ts";
import { createAudienceStore } from "./audiences.ts";
import { createAnswerStore } from "./answers.ts";
import { createAuditStream } from "./audit-stream.ts";
import { sampleClock } from "./clock.ts";
import { connect, type Connection, type RedisClient } from "./connect.ts";
import { createDenialStore } from "./denials.ts";
import { createFeedStore } from "./feed.ts";
import { findFacts } from "./facts.ts";
import { createKeeper } from "./keep.ts";
import { leaseHandles } from "./handles.ts";
import { createHoldStore } from "./hold.ts";
import { ALL_BUCKETS, placeKey, type Place } from "./keyspace.ts";
import { createLeaseStore } from "./leases.ts";
import { pipelined } from "./pipeline.ts";
import { createProofStore } from "./proofs.ts";
import type { RedisTarget } from "./redis-target.ts";
import type { SealedRecords } from "./reseal.ts";
import { createRevocationStore } from "./revocations.ts";
import { observed, type ObserveScript } from "./observed.ts";
import { createRunner, type Runner } from "./run.ts";
import { createSeenStore } from "./seen.ts";
import { createTargetStore } from "./target-records.ts";
import { createStatusStore } from "./statuses.ts";
import { createTaskStore } from "./tasks.ts";
import { createUseStore } from "./uses.ts";

/** Rises when the meaning of a key changes; a store of another layout is refused. */
export const LAYOUT = 2;

/** How often this Redis is looked at again: a setting that endangers leases is known within a minute. */
const LOOK_MS = 30_000;
/** How long a start waits for replicas. */
const REPLICAS_MS = 3_000;

export interface OpenStoreOptions {
  /** See `connect`. */
  readonly url: string | RedisTarget;
  /** The broker's own clock. */
  readonly wall?: Clock;
  /** Tests hand in time itself; otherwise it is Redis TIME, sampled each second. */
  readonly clock?: StoreClock;
  readonly requireAof?: boolean;
  /** Told of each script that was run. */
  readonly observe?: ObserveScript;
  /** How long to wait for Redis at the start; 10 s. */
  readonly patienceMs?: number;
}

/** A store and the connection beneath it, for what keeps keys of its own (signing keys). */
export interface OpenedStore extends Store {
  /** Revocation handles, for sealing them again under another master key. */
  readonly handles: SealedRecords;
  readonly client: RedisClient;
  /** As `Runner.keep`, but a lost reply is not asked for again. */
  readonly keep: Runner["keep"];
}

/**
 * Connects, checks that this Redis may hold leases, and fixes the layout at first start. Throws `store_unavailable` with what is
 * wrong and what would help: no answer, an eviction policy that may drop leases, another layout, AOF required and missing.
 */
export async function openStore(options: OpenStoreOptions): Promise<OpenedStore> {
  const connection = await connect(options.url, options.patienceMs);
  const keeper = createKeeper(connection.client);
  try {
    const aofRequired = options.requireAof ?? false;
    const look = async (): Promise<StoreFacts> => ({ ...(await findFacts(connection)), aofRequired });
    let facts = await look();
    refuseUnfit(facts);
    const sampled = options.clock === undefined ? sampleClock(connection, options.wall ?? systemClock) : undefined;
    await sampled?.sample();
    const clock = options.clock ?? sampled;
    if (clock === undefined) throw new StintError("server_error", "a store needs a clock");
    keeper.require(facts.replicas);
    const runner = observed(createRunner(connection.client, clock, keeper), options.observe);
    if (keeper.needed() > 0) await replicasToAnswer(runner, options.patienceMs ?? REPLICAS_MS);
    const layOutAs = async (wanted: string): Promise<{ id: string; firstStart: boolean }> => {
      const laidOut = await layOut(connection, clock, wanted);
      await pipelined(runner, ALL_BUCKETS, (pipe, bucket) => pipe.hsetnx(placeKey(bucket), "seq", "0"));
      return laidOut;
    };
    const { id, firstStart } = await layOutAs(randomUUID());
    sampled?.start(1000);
    const looking = setInterval(
      () =>
        void look().then(
          (found) => {
            keeper.require(found.replicas);
            facts = { ...found, replicas: keeper.needed() };
          },
          () => undefined,
        ),
      LOOK_MS,
    ); // old facts stand until new ones are there
    looking.unref();
    return {
      id,
      firstStart,
      clock,
      client: connection.client,
      keep: (key, send) => (keeper.needed() > 0 ? keeper.run(key, send) : send(connection.client)),
      leases: createLeaseStore(runner),
      tasks: createTaskStore(runner),
      revocations: createRevocationStore(runner),
      answers: createAnswerStore(runner),
      denials: createDenialStore(runner),
      audit: createAuditStream(runner),
      hold: createHoldStore(runner),
      feed: createFeedStore(runner),
      seen: createSeenStore(runner),
      proofs: createProofStore(runner),
      statuses: createStatusStore(runner),
      uses: createUseStore(runner),
      audiences: createAudienceStore(runner),
      targets: createTargetStore(runner),
      handles: leaseHandles(runner),
      facts: () => facts,
      async ping() {
        const key = `${placeKey("meta")}:ping`;
        await runner.keep(key, (client) => client.set(key, "1", "PX", 10_000));
        if ((await runner.ask((client) => client.get(key))) !== "1")
          throw new StintError("store_unavailable", "Redis does not give back what was written");
        // Emptied under our feet: it goes on as the store that it was, so that audit files and later brokers know it again.
        if ((await runner.ask((client) => client.hexists(placeKey("meta"), "id"))) === 0) await layOutAs(id);
      },
      async close() {
        clearInterval(looking);
        sampled?.stop();
        keeper.close();
        await connection.client.quit().catch(() => undefined);
        connection.client.disconnect(); // also what watches the Sentinels
      },
    };
  } catch (error) {
    keeper.close();
    connection.client.disconnect();
    throw error;
  }
}

function refuseUnfit(facts: StoreFacts): void {
  const { evictionPolicy, version, aof, aofRequired } = facts;
  if (Number(version.split(".")[0]) < 7) throw new StintError("store_unavailable", `Redis ${version} is too old; 7.0 or later is needed`);
  if (evictionPolicy !== "noeviction") {
    const help = "CONFIG SET maxmemory-policy noeviction, and in its configuration file";
    throw new StintError("store_unavailable", `this Redis may evict leases (maxmemory-policy is ${evictionPolicy}); run: ${help}`);
  }
  if (aofRequired && !aof)
    throw new StintError(
      "store_unavailable",
      "STINT_REQUIRE_AOF is on and this Redis has no append-only file; run: CONFIG SET appendonly yes",
    );
}

/**
 * A replica that has just followed says that it is in step up to a second before it answers. Waits for that, but not for replicas that
 * stay away: a broker that starts without them can still end what is to end.
 */
async function replicasToAnswer(runner: Runner, patienceMs: number): Promise<void> {
  const until = performance.now() + Math.min(patienceMs, REPLICAS_MS);
  const write = (place: Place): Promise<unknown> => {
    const key = `${placeKey(place)}:ping`;
    return runner.keep(key, (client) => client.set(key, "1", "PX", 10_000));
  };
  const answered = (): Promise<boolean> =>
    Promise.all([...ALL_BUCKETS, "meta" as const].map(write)).then(
      () => true,
      () => false,
    );
  while (performance.now() < until) if (await answered()) return;
}

/** Writes layout, bucket count and id `made` at first start; refuses a store laid out otherwise. Two brokers starting at once agree. */
async function layOut(connection: Connection, clock: StoreClock, made: string): Promise<{ id: string; firstStart: boolean }> {
  const key = placeKey("meta");
  const { client } = connection;
  const firstStart = (await client.hsetnx(key, "id", made)) === 1;
  if (firstStart) await client.hset(key, "layout", LAYOUT, "buckets", BUCKETS, "created", clock.now());
  const [id, layout, buckets] = await client.hmget(key, "id", "layout", "buckets");
  if (layout !== null && (Number(layout) !== LAYOUT || Number(buckets) !== BUCKETS)) {
    throw new StintError(
      "store_unavailable",
      `this store has layout ${layout} with ${buckets} buckets; this version knows layout ${LAYOUT} with ${BUCKETS}`,
    );
  }
  return { id: id ?? made, firstStart };
}
