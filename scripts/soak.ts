import { readdirSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startIdp } from "../test/support/idp.ts";
import { startMain, type MainProcess } from "../test/support/main-process.ts";
import { startRedis } from "../test/support/redis.ts";
import { startLoad } from "../test/support/round-robin.ts";
import { DEPLOY, shopDocuments } from "../test/support/shop.ts";

// `npm run soak -- --minutes 10 --rate 100`: credentials of a minute, issued and left to expire. Memory, keys and handles must not grow.
const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    rate: { type: "string", default: "100" },
    workers: { type: "string", default: "1" },
  },
});
const [minutes, perSecond] = [Number(values.minutes), Number(values.rate)];
if (!(minutes >= 1 && perSecond >= 1)) throw new Error("--minutes and --rate: expected numbers from 1");

/** Leases and tasks end within this (a task lives a minute); what then says of no end of its own stays for ever. */
const SETTLE_MS = 100_000;
const EVERY_MS = 10_000;
const GROWTH = 1.1;
/** The one workload's bucket comes to life: its indexes, counters and streams. */
const KEYS_OF_A_BUCKET = 32;

interface Sample {
  readonly at: number;
  readonly rssMb: number;
  readonly heapMb: number;
  readonly handles: number;
  readonly leases: number;
}

await using redis = await startRedis({ aof: true });
await using idp = await startIdp();
const documents = (url: string): string =>
  shopDocuments(idp, url)
    .replace(
      `audience: "${DEPLOY}", scope: [deploy:read, deploy:write], ttl: 10m, max_ttl: 30m`,
      `audience: "${DEPLOY}", scope: [deploy:read], ttl: 15s`,
    )
    .replace("lint: warn", "lint: warn\ntasks: { implicit_ttl: 1m }");
const keys = redis.client();
await using broker = await startMain({ documents, redisUrl: redis.url, env: { STINT_LOG_LEVEL: "warn", STINT_WORKERS: values.workers } });

async function sample(from: MainProcess): Promise<Sample> {
  const text = await (await fetch(from.metrics)).text();
  const figure = (name: string): number =>
    [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "gm"))].reduce((sum, [, value]) => sum + Number(value), 0);
  return {
    at: Math.round(performance.now() / 1000),
    rssMb: figure("process_resident_memory_bytes") / 1_048_576,
    heapMb: figure("nodejs_heap_size_used_bytes") / 1_048_576,
    handles: readdirSync(`/proc/${from.child.pid}/fd`).length,
    leases:
      /^stint_leases\{state="active"\} (\S+)$/m.exec(text)?.[1] === undefined
        ? 0
        : Number(/^stint_leases\{state="active"\} (\S+)$/m.exec(text)?.[1]),
  };
}

/** Keys that would stay for ever; everything else says when it ends. */
async function lasting(): Promise<number> {
  const client = keys;
  let [count, cursor] = [0, "0"];
  do {
    const [next, found] = await client.scan(cursor, "COUNT", 5_000);
    const pipe = client.pipeline();
    for (const key of found) pipe.pttl(key);
    count += ((await pipe.exec()) ?? []).filter(([, left]) => left === -1).length;
    cursor = next;
  } while (cursor !== "0");
  return count;
}

const middle = (of: readonly number[]): number => of.toSorted((a, b) => a - b)[Math.floor(of.length / 2)] ?? Number.NaN;
const samples: Sample[] = [];
const lastingBefore = await lasting();
await using load = startLoad({
  brokers: [broker.at],
  audience: broker.url,
  idp,
  perSecond,
  claims: (count) => ({ run_id: `soak-${count}` }),
});
for (const until = performance.now() + minutes * 60_000; performance.now() < until;) {
  await pause(EVERY_MS);
  const now = await sample(broker);
  samples.push(now);
  process.stderr.write(
    `  ${now.at} s: ${load.issued()} issued, ${now.leases} live, rss ${now.rssMb.toFixed(0)} MB, heap ${now.heapMb.toFixed(0)} MB, ${now.handles} handles, ${await keys.dbsize()} keys\n`,
  );
}
const report = await load.stop();
process.stderr.write("  no more is asked; everything should come to its end\n");
await pause(SETTLE_MS);
const last = await sample(broker);
const lastingAfter = await lasting();
// the first third warms up: code is compiled, pools and caches fill
const third = Math.max(1, Math.floor(samples.length / 3));
const growth = middle(samples.slice(-third).map(({ rssMb }) => rssMb)) / middle(samples.slice(third, 2 * third).map(({ rssMb }) => rssMb));
const handles = {
  first: middle(samples.slice(0, third).map((one) => one.handles)),
  last: middle(samples.slice(-third).map((one) => one.handles)),
};
const broken = [
  ...(report.failed.length > 0 ? [`${report.failed.length} requests failed: ${report.failed[0]}`] : []),
  ...(growth >= GROWTH ? [`memory grew by ${Math.round((growth - 1) * 100)} %`] : []),
  ...(handles.last > handles.first + 4 ? [`handles went from ${handles.first} to ${handles.last}`] : []),
  ...(lastingAfter > lastingBefore + KEYS_OF_A_BUCKET ? [`${lastingAfter - lastingBefore} keys would stay for ever`] : []),
  ...(last.leases > 0 ? [`${last.leases} leases are still active`] : []),
];
const figures = {
  issued: report.issued,
  growth: growth.toFixed(3),
  rss_mb: Math.round(last.rssMb),
  handles,
  lasting_keys: { before: lastingBefore, after: lastingAfter },
};
process.stdout.write(
  `${JSON.stringify({ fault: "F26", minutes, rate: perSecond, holds: broken.length === 0, broken, ...figures, p99_ms: Math.round(report.p99Ms) })}\n`,
);
process.exitCode = broken.length === 0 ? 0 : 1;
