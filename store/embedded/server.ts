import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import type { LaunchLog } from "./fetch.ts";
import type { Place } from "./place.ts";
import { talk } from "./talk.ts";

/** How long a started server may say nothing at all. While it says that it is loading, we wait. */
const SILENCE_MS = 30_000;
const STOP_MS = 10_000;

/** How a server's process ended. */
export interface RedisExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Starts the server on its socket and returns when it answers. `lockFd` is inherited, so that the server itself holds its lock. */
export async function startServer(binary: string, place: Place, lockFd: number, log: LaunchLog): Promise<ChildProcess> {
  const child = spawn(binary, settings(place), {
    cwd: place.folder,
    // Nothing of ours (a master key, tokens) belongs in its environment.
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", LANG: "C" },
    stdio: ["ignore", "ignore", "ignore", lockFd],
    // Out of the terminal's process group: Ctrl-C must reach the broker, which drains and then stops its Redis.
    detached: true,
  });
  const failed = new Promise<never>((_, reject) => child.once("error", reject));
  try {
    await Promise.race([answering(child, place, log), failed]);
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
  return child;
}

/** Asks the server to end, which writes everything out first; after ten seconds it is killed. */
export async function stopServer(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const gone = once(child, "exit");
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await gone;
  clearTimeout(late);
}

/** Whether its process is gone. */
export const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;

function settings(place: Place): readonly string[] {
  const all: Readonly<Record<string, string>> = {
    port: "0",
    unixsocket: place.socket,
    unixsocketperm: "700",
    dir: place.folder,
    pidfile: place.pidFile,
    logfile: place.log,
    daemonize: "no",
    "protected-mode": "yes",
    databases: "1",
    // What was acknowledged is on disk; nothing is ever thrown out to make room.
    appendonly: "yes",
    appendfsync: "always",
    "maxmemory-policy": "noeviction",
    save: "",
    // The command line names the socket, by which an orphan is recognised.
    "set-proc-title": "no",
  };
  return Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]);
}

async function answering(child: ChildProcess, place: Place, log: LaunchLog): Promise<void> {
  let silentSince = performance.now();
  let saidLoading = false;
  for (;;) {
    if (hasEnded(child)) throw new Error(`Redis ended while starting: ${await lastLines(place.log)}`);
    const answer = await talk(place.socket, "PING");
    if (answer === "+PONG") return;
    if (answer?.startsWith("-LOADING") === true) {
      if (!saidLoading) log.info({}, "Redis is loading its append-only file");
      saidLoading = true;
      silentSince = performance.now();
    }
    if (performance.now() - silentSince > SILENCE_MS) throw new Error(`Redis does not answer: ${await lastLines(place.log)}`);
    await pause(10);
  }
}

async function lastLines(file: string): Promise<string> {
  const text = await readFile(file, "utf8").catch(() => "no log");
  return text.trim().split("\n").slice(-3).join(" | ");
}
