import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";

/** What a program printed and how it ended. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A program that runs. */
export interface Begun {
  /** SIGKILL for it and everything it started. */
  kill(): void;
  ended(): boolean;
  printed(): string;
}

/** Our own variables and a real CI's must not leak into the story. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(?:STINT_|ACTIONS_|GITHUB_|GITLAB_|CI$|CI_|BUILDKITE|CIRCLE)/.test(name)),
  );
}

/** Starts a Node program, to be killed or looked at later. */
export function begin(args: readonly string[], env: Readonly<Record<string, string>>, cwd: string): Begun {
  // a group of its own, so that all of it can be killed at once, as a machine that is lost would be
  const child = spawn(process.execPath, args, {
    env: { ...plainEnvironment(), ...env },
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    kill: () => {
      if (!ended() && child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    },
    ended,
    printed: () => printed,
  };
}

/** Runs a Node program to its end. */
export async function run(args: readonly string[], env: Readonly<Record<string, string>>, cwd: string): Promise<Ran> {
  const child = spawn(process.execPath, args, { env: { ...plainEnvironment(), ...env }, cwd, stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code: code ?? 1, out, err };
}

/** Asks a program to end, and insists after a while. */
export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), 12_000);
  await exited;
  clearTimeout(late);
}
