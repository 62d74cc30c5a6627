import { randomUUID } from "node:crypto";
import type { AuditRecord } from "../domain/audit-event.ts";
import { toRfc3339 } from "../domain/time.ts";
import type { AuditStream, StreamState, WaitingRecord } from "./api.ts";
import { ALL_BUCKETS, placeKey } from "./keyspace.ts";
import { pipelined } from "./pipeline.ts";
import type { Runner } from "./run.ts";

const streamKey = (bucket: number): string => `${placeKey(bucket)}:au`;

/** Records that scripts have written and nobody has exported yet; the stream's ids are the bucket's sequence. */
export function createAuditStream(runner: Runner): AuditStream {
  const waiting: AuditStream["waiting"] = async (bucket, afterSeq, limit) => {
    // The files are the witness: a record that a failover took back after it was exported would look like a restore.
    const key = streamKey(bucket);
    const rows = await runner.keep(key, (client) => client.xrange(key, `(${afterSeq}-0`, "+", "COUNT", limit));
    return rows.map(([id, fields]) => new Entry(bucket, id, fields));
  };
  return {
    async append(bucket, facts) {
      await runner.run("append-audit", bucket, { once: randomUUID(), said: JSON.stringify(facts) });
    },
    waiting,
    read: async (bucket, afterSeq, limit) => (await waiting(bucket, afterSeq, limit)).map((entry) => entry.record()),
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

type Written<T> = { -readonly [Member in keyof T]: T[Member] };

/** A stream entry is one text: when, what the broker said, what the script found, a line each. JSON has no line breaks of its own. */
class Entry implements WaitingRecord {
  readonly at: number;
  readonly #bucket: number;
  readonly #seq: number;
  readonly #text: string;

  constructor(bucket: number, id: string, [, text = ""]: readonly string[]) {
    this.at = Number.parseInt(text, 10);
    this.#bucket = bucket;
    this.#seq = Number.parseInt(id, 10);
    this.#text = text;
  }

  record(): AuditRecord {
    const [, said = "{}", found = ""] = this.#text.split("\n");
    // read as one object: what the script found stands behind what the broker said, and is what counts
    const record = JSON.parse(found.length > 2 ? `${said.slice(0, -1)},${found.slice(1)}` : said) as Written<AuditRecord>;
    record.bucket = this.#bucket;
    record.seq = this.#seq;
    record.at = toRfc3339(this.at);
    return record;
  }
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
