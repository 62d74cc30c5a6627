import { execFile, spawn } from "node:child_process";
import { constants } from "node:os";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Environment } from "../identity/source.ts";
import { UsageError } from "./exit-codes.ts";

/** Programs of the server that the command starts. The client knows their names, never their code. */
export type ServerProgram = "broker/main" | "broker/commands/policy" | "broker/commands/audit-verify" | "scripts/demo";

/**
 * Runs a program of the server as a child that has this terminal; answers its exit code. Ctrl-C reaches it from the terminal
 * itself; signals from elsewhere are handed on.
 */
export async function runServerSide(program: ServerProgram, args: readonly string[], env: Environment): Promise<number> {
  const file = fileOf(program);
  if (!existsSync(file))
    throw program === "scripts/demo"
      ? new UsageError("this installation has no demo", "It comes with a clone of the repository: npm run demo")
      : new UsageError("this installation has no server part", "It comes with the whole package, or from a clone: npm run build");
  const child = spawn(process.execPath, [...QUIET, file, ...args], { stdio: "inherit", env });
  const onTerminal = process.stdin.isTTY === true;
  const forward = (signal: NodeJS.Signals): void => {
    if (!(onTerminal && signal === "SIGINT")) child.kill(signal);
  };
  const signals: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2"];
  for (const signal of signals) process.on(signal, forward);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) => resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal]));
    });
  } finally {
    for (const signal of signals) process.off(signal, forward);
  }
}

const QUIET = ["--disable-warning=ExperimentalWarning"] as const;
const fileOf = (program: ServerProgram): string => fileURLToPath(new URL(`../../${program}.js`, import.meta.url));

/** What such a program prints, whatever its exit code; undefined where this installation has no server part. */
export async function askServerSide(program: ServerProgram, args: readonly string[], env: Environment): Promise<string | undefined> {
  const file = fileOf(program);
  if (!existsSync(file)) return undefined;
  const options = { env: { ...env }, timeout: 30_000, maxBuffer: 16 * 1024 * 1024 };
  return await new Promise((resolve) => {
    execFile(process.execPath, [...QUIET, file, ...args], options, (_, stdout) => resolve(stdout));
  });
}
