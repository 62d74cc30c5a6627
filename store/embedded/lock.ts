import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, ftruncateSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { codeOf } from "./failure.ts";

/** A lock on a file, ours until released or until this process, and whoever inherited `fd`, is gone. */
export interface FileLock {
  /** Open on the lock file. A child that inherits it holds the lock too, however this process ends. */
  readonly fd: number;
  release(): void;
}

/**
 * Takes the lock, or returns undefined when another process holds it. The kernel keeps it (`flock`), so nothing stale is left by
 * SIGKILL and a process number that was used again means nothing. Where the `flock` program is missing (macOS), a file that names
 * the holder's process stands in.
 */
export async function takeLock(path: string, flock = "flock"): Promise<FileLock | undefined> {
  const fd = openSync(path, "a+", 0o600);
  const taken = await lockDescriptor(fd, flock);
  if (taken === "held") {
    closeSync(fd);
    return undefined;
  }
  if (taken === "no flock") return takeByFile(path, fd);
  note(fd);
  return { fd, release: () => closeSync(fd) };
}

/** The process that says it holds the lock: for messages, never for decisions. */
export function holderOf(path: string): number | undefined {
  const pid = Number.parseInt(readText(path), 10);
  return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
}

async function lockDescriptor(fd: number, flock: string): Promise<"taken" | "held" | "no flock"> {
  // flock(1) locks what our descriptor has open; the lock stays when that short-lived program ends.
  const child = spawn(flock, ["-x", "-n", "3"], { stdio: ["ignore", "ignore", "ignore", fd] });
  try {
    const [code] = (await once(child, "exit")) as [number | null];
    return code === 0 ? "taken" : "held";
  } catch {
    return "no flock";
  }
}

function takeByFile(path: string, fd: number): FileLock | undefined {
  const file = `${path}.pid`;
  for (const attempt of ["first", "after removing a dead holder's"]) {
    try {
      const held = openSync(file, "wx", 0o600);
      note(held);
      closeSync(held);
      note(fd);
      return {
        fd,
        release: () => {
          rmSync(file, { force: true });
          closeSync(fd);
        },
      };
    } catch (error) {
      if (attempt !== "first" || codeOf(error) !== "EEXIST" || isAlive(holderOf(file))) break;
      rmSync(file, { force: true });
    }
  }
  closeSync(fd);
  return undefined;
}

function note(fd: number): void {
  ftruncateSync(fd, 0);
  writeSync(fd, `${process.pid}\n`);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function isAlive(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, and is somebody else's.
    return codeOf(error) === "EPERM";
  }
}
