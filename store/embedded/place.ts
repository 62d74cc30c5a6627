import { createHash } from "node:crypto";
import { chmod, lstat, mkdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { codeOf, messageOf } from "./failure.ts";

/** Where everything of an embedded Redis lies. */
export interface Place {
  readonly dataDir: string;
  /** The server's own folder: append-only file, log, process number. */
  readonly folder: string;
  readonly socket: string;
  readonly log: string;
  readonly pidFile: string;
  readonly brokerLock: string;
  readonly redisLock: string;
}

/** A unix socket's path may have 107 bytes and a NUL. */
const LONGEST_SOCKET = 107;

/** The folder cannot be used; the message says why and what to do. */
export class UnusableDataDirectory extends Error {
  override readonly name = "UnusableDataDirectory";
  readonly exitCode = 78;
}

/** Makes the folders, for us alone. A data directory that others may write to is refused: they could swap what is in it. */
export async function preparePlace(given: string): Promise<Place> {
  try {
    await mkdir(given, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new UnusableDataDirectory(`STINT_DATA_DIR ${given} cannot be made: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const dataDir = await realpath(given);
  if (((await stat(dataDir)).mode & 0o022) !== 0) {
    throw new UnusableDataDirectory(`STINT_DATA_DIR ${dataDir} may be written by others; make it private: chmod 700 ${dataDir}`);
  }
  const folder = join(dataDir, "redis");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  return {
    dataDir,
    folder,
    socket: await socketPath(folder),
    log: join(folder, "redis.log"),
    pidFile: join(folder, "redis.pid"),
    brokerLock: join(dataDir, "broker.lock"),
    redisLock: join(folder, "redis.lock"),
  };
}

/** In the folder, or, where that path is too long for a socket, in a short private folder that follows from it. */
async function socketPath(folder: string): Promise<string> {
  const beside = join(folder, "redis.sock");
  if (Buffer.byteLength(beside) <= LONGEST_SOCKET) return beside;
  const name = createHash("sha256").update(folder).digest("hex").slice(0, 16);
  const uid = process.getuid?.() ?? 0;
  const short = `/tmp/stint-${uid}-${name}`;
  await mkdir(short, { mode: 0o700 }).catch((error: unknown) => {
    if (codeOf(error) !== "EEXIST") throw error;
  });
  // /tmp is everybody's: a folder that somebody else put there first is not ours to trust.
  const found = await lstat(short);
  if (!found.isDirectory() || found.uid !== uid || (found.mode & 0o077) !== 0) {
    throw new UnusableDataDirectory(`${short} is not a private folder of ours; remove it, or choose a shorter STINT_DATA_DIR`);
  }
  return join(short, "redis.sock");
}
