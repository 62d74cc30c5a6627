import { setTimeout as pause } from "node:timers/promises";
import { Cluster } from "ioredis";
import { StintError } from "../domain/errors.ts";
import type { StoreClock } from "./api.ts";
import type { RedisClient } from "./connect.ts";
import type { Keeper } from "./keep.ts";
import { feedChannel } from "./feed-channel.ts";
import { neverKey, placeKey, type Place } from "./keyspace.ts";
import { loadScripts, type LoadedScript } from "./load-scripts.ts";
import { mayBeLost, type ScriptArgs, type ScriptName } from "./scripts.ts";

/** Runs scripts. Each is safe to run twice with the same arguments, so a lost reply is answered by asking again. */
export interface Runner {
  readonly client: RedisClient;
  readonly clock: StoreClock;
  run<N extends ScriptName>(name: N, place: Place, args: ScriptArgs<N>): Promise<unknown>;
  /** Any other command or pipeline, with the same errors; asked again once when the reply was lost, so only for what may be repeated. */
  ask<T>(work: (client: RedisClient) => Promise<T>): Promise<T>;
  /** One command about one key, answered once the replicas that must have what it wrote or read have it. */
  keep<T>(key: string, send: (client: RedisClient) => Promise<T>): Promise<T>;
  /** Whether answers wait for replicas. */
  waits(): boolean;
  /** As `run`, and answered once replicas have what it wrote, though the script is one that may be lost. */
  runKept<N extends ScriptName>(name: N, place: Place, args: ScriptArgs<N>): Promise<unknown>;
}

/** The store answers within two seconds, or says that it cannot. */
const PATIENCE_MS = 1800;
/** Enough for a connection to be made again on a busy machine; patience ends them earlier when Redis hangs. */
const ATTEMPTS = 6;

// What another try may heal: lost connections, a failover or a slot on the move. Anything else is a fault of ours or of the data.
const PASSING =
  /^(?:Connection is closed|Stream isn't writeable|Command timed out|connect E|read E|write E|This socket|LOADING|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|READONLY|UNBLOCKED|ASK|MOVED|Failed to refresh slots|None of startup nodes|Cluster isn't ready|All sentinels|Reached the max retries|Too many Cluster redirections)/i;

/** A runner over one connection, and the keeper's where answers wait for replicas; its scripts are read once. */
export function createRunner(client: RedisClient, clock: StoreClock, keeper: Keeper): Runner {
  const scripts = loadScripts(feedChannel(client));
  const together = gathered(client);
  const prepared = <N extends ScriptName>(name: N, args: ScriptArgs<N>): [LoadedScript, readonly string[]] => {
    const script = scripts.get(name);
    if (script === undefined) throw new StintError("server_error", `no script ${name}`);
    return [script, pack(script, Math.floor(clock.now()), clock.agreed(), args)];
  };
  const evaluate = (script: LoadedScript, place: Place, args: readonly string[]): Promise<unknown> => {
    const [key, never] = keysOf(place);
    together();
    return client.evalsha(script.sha1, 2, key, never, ...args);
  };
  const again = async (script: LoadedScript, place: Place, args: readonly string[]): Promise<unknown> => {
    const [key, never] = keysOf(place);
    try {
      return await evaluate(script, place, args);
    } catch (error) {
      if (!isUnknownScript(error)) throw error;
      return client.eval(script.text, 2, key, never, ...args);
    }
  };
  const evaluateKept = async (script: LoadedScript, place: Place, args: readonly string[]): Promise<unknown> => {
    const [key, never] = keysOf(place);
    try {
      return await keeper.run(key, (node) => node.evalsha(script.sha1, 2, key, never, ...args));
    } catch (error) {
      if (!isUnknownScript(error)) throw error;
      return await keeper.run(key, (node) => node.eval(script.text, 2, key, never, ...args));
    }
  };
  const runKept: Runner["run"] = (name, place, args) => {
    const [script, given] = prepared(name, args);
    return persist(() => (keeper.needed() > 0 ? evaluateKept(script, place, given) : again(script, place, given)), performance.now());
  };
  const keep: Runner["keep"] = (key, send) =>
    persist(() => (keeper.needed() > 0 ? keeper.run(key, send) : send(client)), performance.now());
  return {
    client,
    clock,
    async run(name, place, args) {
      if (keeper.needed() > 0 && !mayBeLost(name)) return runKept(name, place, args);
      const [script, given] = prepared(name, args);
      const started = performance.now();
      try {
        return await evaluate(script, place, given);
      } catch (error) {
        return persist(() => again(script, place, given), started, error);
      }
    },
    ask: (work) => persist(() => work(client), performance.now()),
    keep,
    waits: () => keeper.needed() > 0,
    runKept,
  };
}

/** The arguments as they travel: one JSON array, and the raw ones behind it. */
function pack(script: LoadedScript, now: number, agreed: boolean, args: Readonly<Record<string, string | number>>): readonly string[] {
  const together: (string | number)[] = [now, agreed ? 1 : 0];
  for (const name of script.packed) together.push(args[name] ?? "");
  let text = JSON.stringify(together);
  // half a surrogate pair has no UTF-8, and Redis's JSON will not read it
  if (text.includes("\\ud"))
    text = JSON.stringify(together.map((value) => (typeof value === "string" ? Buffer.from(value).toString() : value)));
  const all = [text];
  for (const name of script.raw) all.push(String(args[name] ?? ""));
  return all;
}

const KEYS = new Map<Place, readonly [string, string]>();

/** The two keys that every script of a place declares. */
function keysOf(place: Place): readonly [string, string] {
  let keys = KEYS.get(place);
  if (keys === undefined) KEYS.set(place, (keys = [placeKey(place), neverKey(place)]));
  return keys;
}

/** So much goes to Redis at once: it works on that while the rest is made. */
const GATHERED = 16;

/**
 * Holds back what is written to Redis until the requests that arrived together have all been looked at: one system call for many of
 * them. A Cluster's connections are its own affair.
 */
function gathered(client: RedisClient): () => void {
  if (client instanceof Cluster) return () => undefined;
  let corked: typeof client.stream | undefined;
  let held = 0;
  return () => {
    const { stream } = client;
    if (stream === undefined || stream.destroyed) return;
    if (stream === corked) {
      held += 1;
      if (held % GATHERED !== 0) return;
      stream.uncork();
      stream.cork();
      return;
    }
    [corked, held] = [stream, 0];
    stream.cork();
    setImmediate(() => {
      if (corked === stream) corked = undefined;
      stream.uncork();
    });
  };
}

/** Tries again what may pass, after a first try that `failed`; without one it begins with that. */
async function persist<T>(work: () => Promise<T>, started: number, failed?: unknown): Promise<T> {
  let attempt = 1;
  if (failed !== undefined && !isUnknownScript(failed)) await requirePassing(failed, started, attempt++);
  for (; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      await requirePassing(error, started, attempt);
    }
  }
}

/** Returns when another try is due. Throws `store_unavailable` for what no other try heals, and when patience is at its end. */
async function requirePassing(error: unknown, started: number, attempt: number): Promise<void> {
  if (error instanceof StintError) throw error; // a keeper's no, which takes its time to find out
  const message = error instanceof Error ? error.message : String(error);
  const passing = PASSING.test(message) || (error instanceof Error && error.name === "ClusterAllFailedError");
  const tired = attempt >= ATTEMPTS && !/^(?:TRYAGAIN|ASK)/.test(message); // a slot is on its way for as long as it takes
  if (!passing || tired || performance.now() - started > PATIENCE_MS - 800) throw unavailable(error, message);
  await pause(Math.min(attempt, ATTEMPTS) * 40);
}

const isUnknownScript = (error: unknown): boolean => error instanceof Error && error.message.startsWith("NOSCRIPT");

/** Redis failed us: not a decision. The message names the kind, never data. */
function unavailable(error: unknown, message: string): StintError {
  const full = message.includes("OOM") ? "Redis is out of memory: nothing new is recorded, ending goes on" : "the store cannot be reached";
  return new StintError("store_unavailable", full, { retryAfterSeconds: 2 }, { cause: error });
}

/** A script's reply as a list of texts; one text is a line each. */
export function texts(reply: unknown): readonly string[] {
  if (typeof reply === "string") return reply.split("\n");
  if (!Array.isArray(reply)) throw new StintError("store_unavailable", "the store answered in a shape this version does not know");
  return reply.map((part) => (part === null ? "" : String(part)));
}
