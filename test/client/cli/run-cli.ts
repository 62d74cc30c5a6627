import { spawn } from "node:child_process";
import { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { run } from "../../../client/cli/program.ts";
import { screenOf } from "../../../client/cli/screen.ts";

export const CLI = fileURLToPath(new URL("../../../client/cli/main.js", import.meta.url));

export interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

export interface Running {
  readonly pid: number;
  readonly done: Promise<Ran>;
  kill(signal: NodeJS.Signals): void;
  /** Resolves when its output (both streams) holds the text. */
  says(text: string): Promise<void>;
}

/** Starts the command as a process of its own, with only these variables beside PATH. */
export function startCli(args: readonly string[], env: Readonly<Record<string, string>> = {}, input?: string): Running {
  return startProgram(process.execPath, [CLI, ...args], env, input);
}

export function startProgram(program: string, args: readonly string[], env: Readonly<Record<string, string>>, input?: string): Running {
  const child = spawn(program, args, { env: { PATH: process.env["PATH"], ...env }, stdio: ["pipe", "pipe", "pipe"] });
  let out = "";
  let err = "";
  const waiting: { readonly text: string; readonly resolve: () => void }[] = [];
  const look = (): void => {
    for (const one of waiting) if (out.includes(one.text) || err.includes(one.text)) one.resolve();
  };
  child.stdout.on("data", (chunk) => ((out += String(chunk)), look()));
  child.stderr.on("data", (chunk) => ((err += String(chunk)), look()));
  child.stdin.on("error", () => undefined);
  if (input !== undefined) child.stdin.end(input);
  else child.stdin.end();
  return {
    pid: child.pid ?? -1,
    done: new Promise((resolve) => child.once("close", (code, signal) => resolve({ code, signal, out, err }))),
    kill: (signal) => void child.kill(signal),
    says: (text) => new Promise((resolve) => (waiting.push({ text, resolve }), look())),
  };
}

/** Runs it to its end. */
export const runCli = (args: readonly string[], env: Readonly<Record<string, string>> = {}, input?: string): Promise<Ran> =>
  startCli(args, env, input).done;

/** The same in this process, without starting another: for everything that needs neither signals nor standard input. */
export async function callCli(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Omit<Ran, "signal">> {
  const written = { out: "", err: "" };
  const stream = (name: "out" | "err"): Writable => new Writable({ write: (chunk, _, done) => ((written[name] += String(chunk)), done()) });
  const screen = {
    ...screenOf({ NO_COLOR: "1" }),
    out: stream("out"),
    err: stream("err"),
    tty: false,
    errTty: false,
    interactive: false,
    width: 80,
  };
  const code = await run(args, env, screen);
  return { code, ...written };
}
