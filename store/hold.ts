import type { HoldStore } from "./api.ts";
import { ALL_BUCKETS, placeKey } from "./keyspace.ts";
import { pipelined } from "./pipeline.ts";
import type { Runner } from "./run.ts";

/** A bucket on hold opens and renews nothing; ending goes on. */
export function createHoldStore(runner: Runner): HoldStore {
  const set = async (hold: 0 | 1, said: string): Promise<void> => {
    const generation = Math.floor(runner.clock.now());
    await Promise.all(ALL_BUCKETS.map((bucket) => runner.run("set-hold", bucket, { hold, generation, said: bucket === 0 ? said : "" })));
  };
  return {
    set: (audit) => set(1, JSON.stringify(audit)),
    clear: (audit) => set(0, JSON.stringify(audit)),
    async show() {
      const replies = await pipelined(runner, ALL_BUCKETS, (pipe, bucket) => pipe.hmget(placeKey(bucket), "hold", "hw"));
      const rows = replies.map(([row]) => row as (string | null)[]);
      const buckets = ALL_BUCKETS.filter((bucket) => rows[bucket]?.[0] === "1");
      const ahead = Math.max(0, ...rows.map((row) => Number(row[1] ?? 0) - runner.clock.now()));
      return { onHold: buckets.length > 0, buckets, aheadMs: ahead };
    },
  };
}
