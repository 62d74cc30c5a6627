import { createTask, validate, type ScheduledTask } from "node-cron";

/** Something done again and again. It must return when `signal` aborts. */
export interface Duty {
  readonly name: string;
  readonly run: (signal: AbortSignal) => Promise<void>;
}

/** Told when a duty throws; the duty goes on at its next time. */
export type OnDutyError = (name: string, error: unknown) => void;

export interface Schedule extends AsyncDisposable {
  /** By a cron expression with seconds, never overlapping itself (node-cron's only door). */
  cron(expression: string, duty: Duty): void;
  /** Every so many milliseconds, counted from the end of the run before; the first time after `firstMs`. */
  every(intervalMs: number, duty: Duty, firstMs?: number): void;
  /** Starts nothing new, asks what runs to stop, and waits for it. */
  drain(): Promise<void>;
}

/** Whether node-cron takes this expression. */
export const isCron = (expression: string): boolean => validate(expression);

/** The broker's timers, all of them. They never keep a process alive by themselves. */
export function createSchedule(onError: OnDutyError): Schedule {
  const stopping = new AbortController();
  const running = new Set<Promise<void>>();
  const crons: ScheduledTask[] = [];
  const timers = new Set<NodeJS.Timeout>();

  function runOnce(duty: Duty): Promise<void> {
    if (stopping.signal.aborted) return Promise.resolve();
    const run = duty.run(stopping.signal).catch((error: unknown) => onError(duty.name, error));
    running.add(run);
    return run.finally(() => void running.delete(run));
  }

  function again(intervalMs: number, duty: Duty, afterMs = intervalMs): void {
    if (stopping.signal.aborted) return;
    const timer = setTimeout(() => {
      timers.delete(timer);
      void runOnce(duty).then(() => again(intervalMs, duty)); // errors were told to onError
    }, afterMs);
    timer.unref();
    timers.add(timer);
  }

  async function drain(): Promise<void> {
    stopping.abort();
    for (const timer of timers) clearTimeout(timer);
    timers.clear();
    for (const task of crons) await task.destroy();
    await Promise.all(running);
  }

  return {
    cron(expression, duty) {
      const task = createTask(expression, () => runOnce(duty), {
        name: duty.name,
        noOverlap: true,
        suppressMissedWarning: true,
        unref: true,
      });
      crons.push(task);
      void task.start();
    },
    every: again,
    drain,
    [Symbol.asyncDispose]: drain,
  };
}

/** Resolves after the time, or at once when the signal aborts. For waiting between tries inside a request that has a deadline. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted || ms <= 0) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done, { once: true });
  });
}
