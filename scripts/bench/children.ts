import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";

/** The core that servers under test have, and the one for everybody else. */
export const SERVER_CORE = 0;
export const OTHER_CORE = 1;

/** Whether processes can be pinned here: Linux with `taskset` and two cores. */
export const canPin: boolean = availableParallelism() > 1 && spawnSync("taskset", ["-V"], { stdio: "ignore" }).status === 0;

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export interface ChildOptions {
  readonly core: number;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly ipc?: boolean;
  /** A file descriptor for its stderr. */
  readonly stderr?: number;
  readonly nodeArgs?: readonly string[];
  /** What it says is nobody's business. */
  readonly quiet?: boolean;
}

/** Starts a built program on its core. It dies with us at the latest. */
export function startNode(program: string, args: readonly string[], options: ChildOptions): ChildProcess {
  const command = [process.execPath, ...(options.nodeArgs ?? []), program, ...args];
  const all = canPin ? ["taskset", "-c", String(options.core), ...command] : command;
  const said = options.quiet === true ? "ignore" : (options.stderr ?? "inherit");
  const child = spawn(all[0] ?? "", all.slice(1), {
    env: { ...(options.env ?? process.env) },
    stdio: ["ignore", said, said, ...(options.ipc === true ? (["ipc"] as const) : [])],
    ...(options.ipc === true ? { serialization: "advanced" as const } : {}),
  });
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

/** Moves a process that runs already, with all its threads. */
export function pin(pid: number, core: number): void {
  if (canPin) spawnSync("taskset", ["-acp", String(core), String(pid)], { stdio: "ignore" });
}

/** Lets it run on any core again. */
export function unpin(pid: number): void {
  if (canPin) spawnSync("taskset", ["-acp", `0-${cpus().length - 1}`, String(pid)], { stdio: "ignore" });
}

/** Asks it to end; after the time it is killed. */
export async function stopChild(child: ChildProcess, withinMs = 10_000): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), withinMs);
  await gone;
  clearTimeout(timer);
}

/** CPU that a process has used, in milliseconds, all threads and both modes; undefined where there is no /proc. */
export function cpuMsOf(pid: number): number | undefined {
  try {
    // fields follow the name in brackets, which may hold anything; utime and stime are the 14th and 15th, in hundredths of a second
    const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
      .replace(/^.*\) /s, "")
      .split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return undefined;
  }
}
