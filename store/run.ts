import { setTimeout as pause } from "node:timers/promises";
import { StintError } from "../domain/errors.ts";
import type { StoreClock } from "./api.ts";
import type { RedisClient } from "./connect.ts";
import { neverKey, placeKey, type Place } from "./keyspace.ts";
import { loadScripts, type LoadedScript, type ScriptArgs, type ScriptName } from "./scripts.ts";

/** Runs scripts. Each is safe to run twice with the same arguments, so a lost reply is answered by asking again. */
export interface Runner {
  readonly client: RedisClient;
  readonly clock: StoreClock;
  run<N extends ScriptName>(name: N, place: Place, args: ScriptArgs<N>): Promise<unknown>;
  /** Any other command or pipeline, with the same errors; asked again once when the reply was lost, so only for what may be repeated. */
  ask<T>(work: (client: RedisClient) => Promise<T>): Promise<T>;
}

/** The store answers within two seconds, or says that it cannot. */
const PATIENCE_MS = 1800;
/** Enough for a connection to be made again on a busy machine; patience ends them earlier when Redis hangs. */
const ATTEMPTS = 6;

// What another try may heal: lost connections, a failover or a slot on the move. Anything else is a fault of ours or of the data.
const PASSING =
  /^(?:Connection is closed|Stream isn't writeable|Command timed out|connect E|read E|write E|This socket|LOADING|TRYAGAIN|CLUSTERDOWN|MASTERDOWN|READONLY|UNBLOCKED|ASK|MOVED|Failed to refresh slots|None of startup nodes|Cluster isn't ready|All sentinels|Reached the max retries|Too many Cluster redirections)/i;

/** A runner over one connection; its scripts are read once. */
export function createRunner(client: RedisClient, clock: StoreClock): Runner {
  const scripts = loadScripts();
  const evaluate = async (script: LoadedScript, place: Place, args: readonly (string | number)[]): Promise<unknown> => {
    const key = placeKey(place);
    try {
      return await client.evalsha(script.sha1, 2, key, neverKey(place), ...args);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error;
      return await client.eval(script.text, 2, key, neverKey(place), ...args);
    }
  };
  return {
    client,
    clock,
    run: (name, place, args) => {
      const script = scripts.get(name);
      if (script === undefined) throw new StintError("server_error", `no script ${name}`);
      const given: Readonly<Record<string, string | number>> = args;
      const values: (string | number)[] = [Math.floor(clock.now()), clock.agreed() ? 1 : 0];
      for (const arg of script.names) values.push(given[arg] ?? "");
      return persist(() => evaluate(script, place, values));
    },
    ask: (work) => persist(() => work(client)),
  };
}

async function persist<T>(work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const passing = PASSING.test(message) || (error instanceof Error && error.name === "ClusterAllFailedError");
      if (!passing || attempt >= ATTEMPTS || performance.now() - started > PATIENCE_MS - 800) throw unavailable(error, message);
      await pause(attempt * 40);
    }
  }
}

/** Redis failed us: not a decision. The message names the kind, never data. */
function unavailable(error: unknown, message: string): StintError {
  const full = message.includes("OOM") ? "Redis is out of memory: nothing new is recorded, ending goes on" : "the store cannot be reached";
  return new StintError("store_unavailable", full, { retryAfterSeconds: 2 }, { cause: error });
}

/** A script's reply as a list of texts. */
export function texts(reply: unknown): readonly string[] {
  if (!Array.isArray(reply)) throw new StintError("store_unavailable", "the store answered in a shape this version does not know");
  return reply.map((part) => (part === null ? "" : String(part)));
}
