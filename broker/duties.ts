import { describe } from "./background.ts";
import type { Log } from "./parts.ts";
import { createSchedule, type Duty } from "./sweeper/schedule.ts";

/** What a broker does unasked. Each may be called at any time and twice at once by two brokers. */
export interface DutyWork {
  readonly sweep: Duty["run"];
  readonly unverified: () => Promise<void>;
  readonly revocations: () => Promise<void>;
  readonly keys: () => Promise<void>;
  readonly audit: Duty["run"];
  readonly hold: () => Promise<void>;
  readonly witness: () => Promise<void>;
  readonly store: () => Promise<void>;
  readonly audiences: () => Promise<void>;
  readonly targets: () => Promise<void>;
}

export interface Duties {
  /** Begins: the sweeper by its cron expression, everything else at its own pace. */
  start(sweepCron: string): void;
  /** Starts nothing more, and waits for what runs. */
  drain(): Promise<void>;
  /** All of them once, in order; for tests, which have no timers. */
  runOnce(): Promise<void>;
}

const EVERY_MS = {
  audit: 500,
  hold: 1_000,
  unverified: 1_000,
  store: 2_000,
  revocations: 5_000,
  witness: 10_000,
  keys: 10_000,
  targets: 10_000,
  audiences: 600_000,
} as const;

/** What a crash has left at a target must not wait for the first round. */
const AT_ONCE: ReadonlySet<string> = new Set(["targets"]);

/** The broker's duties on the one schedule. One that fails is logged once until it succeeds again, and goes on. */
export function createDuties(work: DutyWork, log: Log, onFailure: (name: string) => void = () => undefined): Duties {
  const failing = new Set<string>();
  const schedule = createSchedule((name, error) => {
    onFailure(name);
    if (failing.has(name)) return;
    failing.add(name);
    log.error({ duty: name, error: describe(error) }, "a duty failed; it is tried again");
  });

  function named(name: keyof DutyWork): Duty {
    return {
      name,
      run: async (signal) => {
        await work[name](signal);
        if (failing.delete(name)) log.info({ duty: name }, "a duty works again");
      },
    };
  }

  return {
    start(sweepCron) {
      schedule.cron(sweepCron, named("sweep"));
      for (const [name, ms] of Object.entries(EVERY_MS))
        schedule.every(ms, named(name as keyof typeof EVERY_MS), AT_ONCE.has(name) ? 0 : ms);
    },
    drain: () => schedule.drain(),
    async runOnce() {
      const signal = new AbortController().signal;
      for (const name of ["store", "hold", "keys", "targets", "sweep", "revocations", "unverified", "audit"] as const)
        await work[name](signal);
    },
  };
}
