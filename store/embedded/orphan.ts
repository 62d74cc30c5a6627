import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import type { LaunchLog } from "./fetch.ts";
import { holderOf, takeLock, type FileLock } from "./lock.ts";
import { UnusableDataDirectory, type Place } from "./place.ts";
import { listens, talk } from "./talk.ts";

const POLITE_MS = 5_000;
const KILLED_MS = 5_000;

/**
 * Takes the server's lock for a new start. If a server outlived its broker (which was killed), it is told to shut down; its
 * append-only file has every write that was acknowledged. One that does not listen is killed. Never starts beside a live one.
 */
export async function takeOver(place: Place, log: LaunchLog, flock?: string): Promise<FileLock> {
  const free = await tryTake(place, flock);
  if (free !== undefined) return free;
  log.warn({ pid: holderOf(place.pidFile) }, "stopping a Redis that outlived its broker");
  await talk(place.socket, "SHUTDOWN NOSAVE", POLITE_MS);
  const stopped = await within(POLITE_MS, () => tryTake(place, flock));
  if (stopped !== undefined) return stopped;
  if (await killRecognised(place)) {
    const killed = await within(KILLED_MS, () => tryTake(place, flock));
    if (killed !== undefined) return killed;
  }
  throw new UnusableDataDirectory(
    `A Redis (process ${holderOf(place.pidFile) ?? "unknown"}) still uses ${place.folder} and does not stop. End it, then start again.`,
  );
}

async function tryTake(place: Place, flock: string | undefined): Promise<FileLock | undefined> {
  const lock = await takeLock(place.redisLock, flock);
  if (lock === undefined) return undefined;
  if (!(await listens(place.socket))) return lock;
  lock.release();
  return undefined;
}

/** Kills the process of the pid file, if its command line names our socket: the number may long be another program's. */
async function killRecognised(place: Place): Promise<boolean> {
  const pid = holderOf(place.pidFile);
  if (pid === undefined) return false;
  const commandLine = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  if (!commandLine.split("\0").includes(place.socket)) return false;
  process.kill(pid, "SIGKILL");
  return true;
}

async function within<T>(ms: number, ask: () => Promise<T | undefined>): Promise<T | undefined> {
  for (const until = performance.now() + ms; performance.now() < until; await pause(50)) {
    const answer = await ask();
    if (answer !== undefined) return answer;
  }
  return undefined;
}
