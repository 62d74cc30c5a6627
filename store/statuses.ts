import { randomBytes } from "node:crypto";
import type { BucketStatuses, StatusStore } from "./api.ts";
import { ALL_BUCKETS, placeKey } from "./keyspace.ts";
import { pipelined } from "./pipeline.ts";
import type { Runner } from "./run.ts";

const NOTHING = new Uint8Array(0);

/** Status lists, written by `allot_status` and `invalidate_status` in lua/lib.lua. */
export function createStatusStore(runner: Runner): StatusStore {
  return {
    async secret() {
      const meta = placeKey("meta");
      const made = randomBytes(32).toString("base64url");
      await runner.keep(meta, (client) => client.hsetnx(meta, "status_secret", made));
      const kept = await runner.ask((client) => client.hget(meta, "status_secret"));
      return Buffer.from(kept ?? made, "base64url");
    },
    async lists() {
      const rows = await pipelined(runner, ALL_BUCKETS, (pipe, bucket) => pipe.hgetall(`${placeKey(bucket)}:sn`));
      const most = new Map<string, number>();
      for (const [counts] of rows) {
        for (const [list, count] of Object.entries(counts as Readonly<Record<string, string>>))
          most.set(list, Math.max(most.get(list) ?? 0, Number(count)));
      }
      return most;
    },
    async read(list) {
      const generation = list.slice(list.indexOf(".") + 1);
      const rows = await pipelined(runner, ALL_BUCKETS, (pipe, bucket) => {
        const place = placeKey(bucket);
        pipe.hget(place, "generation");
        pipe.hget(`${place}:sn`, list);
        pipe.hget(`${place}:sa`, list);
        pipe.getBuffer(`${place}:sb:${list}`);
      });
      return rows.map(([current, given, overBelow, bits]): BucketStatuses => ({
        given: Number(given ?? 0),
        over: (current ?? "0") !== generation,
        overBelow: Number(overBelow ?? 0),
        bits: bits instanceof Uint8Array ? bits : NOTHING,
      }));
    },
  };
}
