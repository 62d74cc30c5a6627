import { Cluster } from "ioredis";
import type { FeedEntry, FeedPage, FeedStore } from "./api.ts";
import { feedChannel, leaseEntry, readEntry, readHint, scopeOf } from "./feed-channel.ts";
import { ALL_BUCKETS, placeKey } from "./keyspace.ts";
import { pipelined } from "./pipeline.ts";
import type { Runner } from "./run.ts";
import { walkByScore } from "./walk.ts";

/** A mark on a signing key stands a second time under the short name that leases keep. */
const SHORT_KEY = "k:";
/** Length of an id inside its bucket; a member of the revoked set is that and the grant's name. */
const ID_LENGTH = 26;

/** What verifiers must hear of, as lua/lib.lua writes it: a short stream to follow, and a set by `exp` to start from. */
export function createFeedStore(runner: Runner): FeedStore {
  const { clock } = runner;
  return {
    async read(bucket, after, limit) {
      const page = (await readMany(runner, new Map([[bucket, after]]), limit)).get(bucket);
      return page ?? { entries: [], position: after, gap: true };
    },
    readMany: (after, limit) => readMany(runner, after, limit),
    async skip(bucket, told) {
      await runner.run("skip-feed", bucket, { told });
    },
    async positions() {
      const rows = await pipelined(runner, ALL_BUCKETS, (pipe, bucket) => pipe.hget(placeKey(bucket), "feed"));
      return rows.map(([feed]) => Number(feed ?? 0));
    },
    async snapshot(bucket, cursor, limit) {
      const place = placeKey(bucket);
      // The position first: what comes after it is read again from the stream, and hearing of it twice does no harm.
      const position = Number((await runner.ask((client) => client.hget(place, "feed"))) ?? 0);
      const marks = cursor === undefined ? await runner.ask((client) => client.hgetall(`${place}:marks`)) : {};
      const page = await walkByScore(runner, `${place}:rv`, cursor ?? `(${clock.now()}`, limit);
      const scores = page.members.length === 0 ? [] : await runner.ask((client) => client.zmscore(`${place}:rv`, ...page.members));
      const leases = page.members.map((member, index): FeedEntry =>
        leaseEntry(member.slice(0, ID_LENGTH), member.slice(ID_LENGTH), Number(scores[index] ?? 0)),
      );
      const entries = [
        ...Object.entries(marks)
          .filter(([field]) => !field.startsWith(SHORT_KEY))
          .map(([field, at]): FeedEntry => ({ kind: "mark", scope: scopeOf(field), at: Number(at) })),
        ...leases,
      ];
      return { entries, position, nextCursor: page.next };
    },
    async hints(listener) {
      const subscriber = runner.client instanceof Cluster ? runner.client.duplicate() : runner.client.duplicate();
      subscriber.on("error", () => undefined); // it reconnects by itself; meanwhile everything is read once a second
      subscriber.on("message", (_channel: string, message: string) => {
        const hint = readHint(message);
        if (hint !== undefined) listener(hint);
      });
      await subscriber.connect().catch(() => undefined);
      await subscriber.subscribe(feedChannel(runner.client));
      return async () => {
        await subscriber.quit().catch(() => undefined);
        subscriber.disconnect(); // also what watches the Sentinels
      };
    },
  };
}

async function readMany(runner: Runner, after: ReadonlyMap<number, number>, limit: number): Promise<Map<number, FeedPage>> {
  const buckets = [...after.keys()];
  const replies = await pipelined(runner, buckets, (pipe, bucket) => {
    pipe.hget(placeKey(bucket), "feed");
    pipe.xrange(`${placeKey(bucket)}:f`, `${after.get(bucket) ?? 0}-0`, "+", "COUNT", limit + 1);
  });
  return new Map(replies.map((reply, index) => [buckets[index] ?? 0, pageOf(reply, after.get(buckets[index] ?? 0) ?? 0)]));
}

function pageOf(reply: readonly unknown[], after: number): FeedPage {
  const last = Number(reply[0] ?? 0);
  const all = (reply[1] ?? []) as [string, string[]][];
  const at = all[0] !== undefined && numberOf(all[0][0]) === after ? readEntry(all[0][1]) : undefined;
  const rows = at === undefined ? all : all.slice(1);
  const first = rows[0] === undefined ? last + 1 : numberOf(rows[0][0]);
  const position = rows.length === 0 ? last : numberOf(rows.at(-1)?.[0] ?? "0-0");
  const wentBack = after > last;
  return { entries: rows.map(([, fields]) => readEntry(fields)), position, gap: wentBack || first !== after + 1, at, wentBack };
}

const numberOf = (id: string): number => Number(id.split("-")[0]);
