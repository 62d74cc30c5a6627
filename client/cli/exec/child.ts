import { spawn, type ChildProcess } from "node:child_process";
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { EXIT } from "../exit-codes.ts";
import { maskStream } from "./mask.ts";
import type { Screen } from "../screen.ts";

export interface Started {
  /** How it ended, as an exit code: its own, 126, 127 or 128+n. `signal` when one ended it, `failed` when it never ran. */
  readonly exited: Promise<{ readonly code: number; readonly signal?: NodeJS.Signals; readonly failed?: string }>;
  /** Resolves when all it printed was written; grandchildren that hold on to its output are waited for a second at most. */
  drained(): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

/** Starts the command. What it prints to anything but a terminal passes the mask. */
export function start(
  command: string,
  args: readonly string[],
  env: Record<string, string | undefined>,
  secrets: readonly string[],
  screen: Screen,
): Started {
  const masked = { out: secrets.length > 0 && !screen.tty, err: secrets.length > 0 && !screen.errTty };
  const child = spawn(command, args, { env, stdio: ["inherit", masked.out ? "pipe" : "inherit", masked.err ? "pipe" : "inherit"] });
  const flows = [
    child.stdout === null ? undefined : through(child.stdout, screen.out, secrets),
    child.stderr === null ? undefined : through(child.stderr, screen.err, secrets),
  ].filter((flow) => flow !== undefined);
  return {
    exited: exitOf(child, command),
    kill: (signal) => void child.kill(signal),
    async drained() {
      await Promise.race([Promise.all(flows), sleep(1000, undefined, { ref: false })]);
      child.stdout?.destroy();
      child.stderr?.destroy();
    },
  };
}

function through(from: Readable, to: NodeJS.WritableStream, secrets: readonly string[]): Promise<void> {
  const mask = maskStream(secrets);
  from.pipe(mask).pipe(to, { end: false });
  // Whoever read our output went away: so does the command's pipe, as it would without us.
  to.once("error", () => {
    mask.destroy();
    from.destroy();
  });
  return finished(mask).catch(() => undefined);
}

function exitOf(child: ChildProcess, command: string): Started["exited"] {
  return new Promise((resolve) => {
    child.once("error", (error: NodeJS.ErrnoException) => {
      const missing = error.code === "ENOENT";
      resolve({
        code: missing ? EXIT.notFound : EXIT.notExecutable,
        failed: missing ? `${command}: not found` : `${command}: cannot be executed (${error.code ?? "unknown"})`,
      });
    });
    child.once("exit", (code, signal) => {
      if (signal !== null) resolve({ code: 128 + constants.signals[signal], signal });
      else resolve({ code: code ?? 0 });
    });
  });
}
