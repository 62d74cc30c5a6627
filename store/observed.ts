import { performance } from "node:perf_hooks";
import type { Runner } from "./run.ts";
import { SCRIPTS, type ScriptName } from "./scripts.ts";

/** What a script does to Redis: reads, writes what needs room, or writes what must run when memory is full, too. */
export type ScriptWork = "read" | "open" | "end";

/** Told of each script that was run: with all its attempts, in milliseconds. */
export type ObserveScript = (work: ScriptWork, outcome: "answered" | "failed", ms: number) => void;

const WORK = { none: "read", room: "open", any: "end" } as const;

/** The runner, telling of each script how long it took; as it is where nobody listens. */
export function observed(runner: Runner, observe: ObserveScript | undefined): Runner {
  if (observe === undefined) return runner;
  const tell = (name: ScriptName, reply: Promise<unknown>): Promise<unknown> => {
    const started = performance.now();
    reply.then(
      () => observe(workOf(name), "answered", performance.now() - started),
      () => observe(workOf(name), "failed", performance.now() - started),
    );
    return reply;
  };
  return {
    ...runner,
    run: (name, place, args) => tell(name, runner.run(name, place, args)),
    runKept: (name, place, args) => tell(name, runner.runKept(name, place, args)),
  };
}

const workOf = (name: ScriptName): ScriptWork => WORK[SCRIPTS[name].writes];
