import { randomUUID } from "node:crypto";
import type { AuditFacts, AuditRecord } from "../domain/audit-event.ts";
import { toRfc3339 } from "../domain/time.ts";
import type { AuditStream, StreamState } from "./api.ts";
import { ALL_BUCKETS, placeKey } from "./keyspace.ts";
import { pipelined } from "./pipeline.ts";
import type { Runner } from "./run.ts";

const streamKey = (bucket: number): string => `${placeKey(bucket)}:au`;

/** Records that scripts have written and nobody has exported yet; the stream's ids are the bucket's sequence. */
export function createAuditStream(runner: Runner): AuditStream {
  return {
    async append(bucket, facts) {
      await runner.run("append-audit", bucket, { once: randomUUID(), said: JSON.stringify(facts) });
    },
    async read(bucket, afterSeq, limit) {
      // The files are the witness: a record that a failover took back after it was exported would look like a restore.
      const key = streamKey(bucket);
      const rows = await runner.keep(key, (client) => client.xrange(key, `(${afterSeq}-0`, "+", "COUNT", limit));
      return rows.map(([id, fields]) => readRecord(bucket, id, fields));
    },
    async trim(bucket, uptoSeq) {
      await runner.ask((client) => client.xtrim(streamKey(bucket), "MINID", `${uptoSeq + 1}-0`));
    },
    async state(bucket) {
      const [state] = await states(runner, [bucket]);
      return state ?? { lastSeq: 0, firstWaiting: undefined, oldestAt: undefined, onHold: false };
    },
    states: () => states(runner, ALL_BUCKETS),
    async lock(holder, ttlMs) {
      const fence = await runner.run("lock-exporter", "meta", { holder, ttl: ttlMs });
      return fence === "" || fence === null ? undefined : { fence: Number(fence) };
    },
    async unlock(holder) {
      await runner.run("unlock-exporter", "meta", { holder });
    },
  };
}

/** A stream entry is one text: when, what the broker said, what the script found, a line each. JSON has no line breaks of its own. */
function readRecord(bucket: number, id: string, [, text = ""]: readonly string[]): AuditRecord {
  const [at, said = "{}", found = ""] = text.split("\n");
  const record = JSON.parse(said) as AuditFacts & Record<string, unknown>;
  if (found !== "") Object.assign(record, JSON.parse(found) as object);
  return Object.assign(record, { bucket, seq: Number.parseInt(id, 10), at: toRfc3339(Number(at)) });
}

async function states(runner: Runner, buckets: readonly number[]): Promise<StreamState[]> {
  const replies = await pipelined(runner, buckets, (pipe, bucket) => {
    pipe.hmget(placeKey(bucket), "seq", "hold");
    pipe.xrange(streamKey(bucket), "-", "+", "COUNT", 1);
  });
  return replies.map(([facts, rows]) => {
    const [seq, hold] = facts as (string | null)[];
    const first = (rows as [string, string[]][])[0];
    return {
      lastSeq: Number(seq ?? 0),
      firstWaiting: first === undefined ? undefined : Number.parseInt(first[0], 10),
      oldestAt: first === undefined ? undefined : Number.parseInt(first[1][1] ?? "", 10),
      onHold: hold === "1",
    };
  });
}
