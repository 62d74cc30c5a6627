import { ALL_BUCKETS, placeKey } from "./keyspace.ts";
import { STATE_LETTERS, stateOfLetter } from "./records.ts";
import type { Runner } from "./run.ts";
import { pipelined } from "./pipeline.ts";

/** Buckets with something due: two small commands a bucket in one pipeline, whatever exists. */
export async function dueBuckets(runner: Runner): Promise<{ leases: number[]; tasks: number[] }> {
  const now = runner.clock.now();
  const replies = await pipelined(runner, ALL_BUCKETS, (pipe, bucket) => {
    pipe.zcount(`${placeKey(bucket)}:due`, "-inf", now);
    pipe.zcount(`${placeKey(bucket)}:tdue`, "-inf", now);
  });
  const leases: number[] = [];
  const tasks: number[] = [];
  replies.forEach((reply, bucket) => {
    if (Number(reply[0]) > 0) leases.push(bucket);
    if (Number(reply[1]) > 0) tasks.push(bucket);
  });
  return { leases, tasks };
}

/** Leases by state over these buckets, and how long the oldest due one has waited. */
export async function countLeases(
  runner: Runner,
  buckets: readonly number[],
): Promise<{ byState: Record<string, number>; opened: number; oldestDueMs: number }> {
  const replies = await pipelined(runner, buckets, (pipe, bucket) => {
    pipe.hmget(placeKey(bucket), "opened", ...STATE_LETTERS);
    pipe.zrange(`${placeKey(bucket)}:due`, "0", "0", "WITHSCORES");
  });
  const byState: Record<string, number> = Object.fromEntries(STATE_LETTERS.map((letter) => [stateOfLetter(letter), 0]));
  let opened = 0;
  let oldest = Number.POSITIVE_INFINITY;
  for (const [counts, first] of replies) {
    const [made, ...states] = counts as (string | null)[];
    opened += Number(made ?? 0);
    STATE_LETTERS.forEach(
      (letter, index) => (byState[stateOfLetter(letter)] = (byState[stateOfLetter(letter)] ?? 0) + Number(states[index] ?? 0)),
    );
    const score = Number((first as string[])[1] ?? Number.POSITIVE_INFINITY);
    if (score < oldest) oldest = score;
  }
  return { byState, opened, oldestDueMs: Math.max(0, Number.isFinite(oldest) ? runner.clock.now() - oldest : 0) };
}
