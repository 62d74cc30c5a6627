import { Cluster, type Redis } from "ioredis";
import { StintError } from "../domain/errors.ts";
import type { RedisClient } from "./connect.ts";
import { slotOf } from "./slot.ts";

/**
 * Gives answers only once enough replicas have what they rest on. Commands go over connections of their own, because `WAIT` blocks the
 * connection it is sent on; all that came together share one `WAIT`, sent right behind them on the same connection: on any
 * other, or on one that was made anew in between, it would speak of another primary.
 */
export interface Keeper {
  /** How many replicas; 0 while answers need not wait. */
  needed(): number;
  /** Rises when more replicas are found, and never falls: those that cannot be seen are what this is for. */
  require(replicas: number): void;
  /** `send` must send one command, at once, to the connection it is given: to the primary that holds the key. Not sent again by itself. */
  run<T>(key: string, send: (node: Redis) => Promise<T>): Promise<T>;
  close(): void;
}

/** A flush that finds replicas away, and the one behind it, must both fit into the store's two seconds. */
export const WAIT_MS = 500;
/** Commands in one flush. Redis serves others between any two. */
const AT_ONCE = 1000;

/** Answers over `client`'s Redis; connects when the first replica is required. */
export function createKeeper(client: RedisClient): Keeper {
  let required = 0;
  let own: RedisClient | undefined;
  const groups = new WeakMap<Redis, Group>();
  return {
    needed: () => required,
    require(count) {
      required = Math.max(required, count);
      if (required > 0) own ??= another(client);
    },
    run(key, send) {
      const node = own && (own instanceof Cluster ? primaryOf(own, key) : own);
      if (node === undefined) return Promise.reject(new Error("CLUSTERDOWN no primary is known for this key"));
      let group = groups.get(node);
      if (group === undefined) groups.set(node, (group = createGroup(node, () => required)));
      return group.add(send).catch((error: unknown) => {
        if (own instanceof Cluster && saysOtherwise(error)) own.refreshSlotsCache();
        throw error;
      });
    },
    close: () => own?.disconnect(),
  };
}

function another(client: RedisClient): RedisClient {
  const made: RedisClient = client instanceof Cluster ? client.duplicate() : client.duplicate();
  made.on("error", () => undefined); // every command reports its own failure
  made.connect().catch(() => undefined); // and tries to connect go on
  return made;
}

/** The client's own map of slots to `host:port`; a map that is out of date is told so by the node (MOVED). */
function primaryOf(cluster: Cluster, key: string): Redis | undefined {
  const name = cluster.slots[slotOf(key)]?.[0];
  return cluster.nodes("master").find(({ options }) => `${options.host}:${options.port}` === name);
}

const saysOtherwise = (error: unknown): boolean =>
  error instanceof Error && /^(?:MOVED|CLUSTERDOWN|READONLY|Connection is closed|Command timed out|connect E)/.test(error.message);

interface Group {
  add<T>(send: (node: Redis) => Promise<T>): Promise<T>;
}

interface Waiting {
  readonly send: (node: Redis) => Promise<unknown>;
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** What is asked of one node, a flush at a time: while one waits for replicas, the next gathers. */
function createGroup(node: Redis, needed: () => number): Group {
  const gathering: Waiting[] = [];
  let flushing = false;
  const flushAll = async (): Promise<void> => {
    while (gathering.length > 0) await flush(node, gathering.splice(0, AT_ONCE), needed());
    flushing = false;
  };
  return {
    add: (send) =>
      new Promise((resolve, reject) => {
        gathering.push({ send, resolve: resolve as (reply: unknown) => void, reject });
        if (flushing) return;
        flushing = true;
        setImmediate(() => void flushAll());
      }),
  };
}

/** Sends all, then one `WAIT`, in one breath: whatever happens to the connection happens to all of them. Never rejects. */
async function flush(node: Redis, all: readonly Waiting[], needed: number): Promise<void> {
  const { stream } = node;
  stream?.cork();
  const replies = all.map(({ send }) => send(node));
  const count = node.wait(needed, WAIT_MS);
  stream?.uncork();
  const [kept, ...results] = await Promise.allSettled([count, ...replies]);
  for (const [index, { resolve, reject }] of all.entries()) {
    const result = results[index];
    if (result === undefined || result.status === "rejected") reject(result?.reason);
    else if (kept.status === "rejected") reject(kept.reason);
    else if (kept.value < needed) reject(new NotKept(kept.value, needed));
    else resolve(result.value);
  }
}

/** It is on record at the primary and may be lost with it: nobody may be told that it is done. */
export class NotKept extends StintError {
  constructor(have: number, needed: number) {
    const what = `only ${have} of the ${needed} replicas that must have it have what was written: it may be lost with the primary`;
    super("store_unavailable", `${what}. Ask again`, { retryAfterSeconds: 2 });
  }
}
