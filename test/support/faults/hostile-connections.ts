import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { eventually } from "../events.ts";
import { openHalf } from "../half-open.ts";
import { startIdp } from "../idp.ts";
import { startMain, type MainProcess } from "../main-process.ts";
import { startLoad } from "../round-robin.ts";
import { shopDocuments } from "../shop.ts";
import { Promises, type Fault } from "./fault.ts";

/** Connections that begin a request and never end it, while one good client asks on. */
export const halfOpen: Fault = {
  id: "A16",
  what: "10,000 connections send half a request, and bodies of 10 MB come in",
  async run(form, say) {
    const [count, perSecond] = form === "long" ? [10_000, 50] : [300, 10];
    const promises = new Promises();
    await using idp = await startIdp();
    await using broker = await startMain({ documents: (url) => shopDocuments(idp, url) });
    const port = Number(new URL(broker.at).port);
    await using load = startLoad({ brokers: [broker.at], audience: broker.url, idp, perSecond, attempts: 1, timeoutMs: 20_000 });
    await eventually("a load", () => load.issued() >= perSecond, 30_000);
    const from = performance.now();
    const slowest = await holdHalfOpen(broker, count, say);
    const until = performance.now();
    const tooLarge = await postTenMegabytes(port);
    const { answers } = await load.stop();
    const meanwhile = answers.filter(({ at }) => at >= from && at < until);
    const good = meanwhile.map(({ ms }) => ms).toSorted((a, b) => a - b);
    const p99 = good[Math.floor(good.length * 0.99)] ?? Number.NaN;
    const failed = meanwhile.filter(({ status }) => status !== 200).length;
    const limits = form === "long" ? { closed: 15_000, p99: 250, tooLarge: 50 } : { closed: 40_000, p99: 5_000, tooLarge: 2_000 };
    promises.expect(slowest.ms <= limits.closed, `a half-open connection stood for ${Math.round(slowest.ms)} ms`);
    promises.expect(failed === 0, `${failed} requests of the good client failed meanwhile`);
    promises.expect(p99 <= limits.p99, `the good client's p99 was ${Math.round(p99)} ms`);
    promises.expect(tooLarge.status === 413, `10 MB were answered with ${tooLarge.status}`);
    promises.expect(tooLarge.ms <= limits.tooLarge, `10 MB were refused after ${Math.round(tooLarge.ms)} ms`);
    const figures = {
      half_open: slowest.opened,
      closed_within_ms: Math.round(slowest.ms),
      good_p99_ms: Math.round(p99),
      too_large_ms: Math.round(tooLarge.ms),
    };
    return { figures, broken: promises.broken };
  },
};

/** How long after the last of them was opened the broker had let go of all; and how many it had at most. */
async function holdHalfOpen(
  broker: MainProcess,
  count: number,
  say: (line: string) => void,
): Promise<{ readonly ms: number; readonly opened: number }> {
  const base = openFiles(broker);
  using _half = await openHalf({ port: Number(new URL(broker.at).port), count });
  const openedAt = performance.now();
  const most = await eventually("all are open", () => openFiles(broker) - base >= count * 0.9 && openFiles(broker) - base, 10_000);
  say(`${most} connections are half open`);
  await eventually("all let go", () => openFiles(broker) <= base + 16, 60_000);
  return { ms: performance.now() - openedAt, opened: most };
}

const openFiles = ({ child }: MainProcess): number => readdirSync(`/proc/${child.pid}/fd`).length;

function postTenMegabytes(port: number): Promise<{ readonly status: number; readonly ms: number }> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const socket = connect({ port, host: "127.0.0.1" });
    socket.once("data", (chunk: Buffer) => {
      resolve({ status: Number(chunk.toString("latin1").slice(9, 12)), ms: performance.now() - startedAt });
      socket.destroy();
    });
    socket.on("error", reject);
    socket.write(
      "POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer x\r\nContent-Length: 10485760\r\n\r\n",
    );
    socket.write(Buffer.alloc(1_048_576, 0x20));
  });
}

/** What a parser may choke on; each must be refused like anything else that is malformed. */
const deep = (depth: number): string => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
const NASTY: readonly (readonly [name: string, type: string, body: string | Buffer, headers?: Readonly<Record<string, string>>])[] = [
  ["100 KB of nesting", "application/json", "[".repeat(50_000) + "]".repeat(50_000)],
  ["60 KB of nesting", "application/json", deep(10_000).slice(0, 60_000)],
  ["objects 1,000 deep", "application/json", deep(1_000)],
  ["a bomb of 10 MB in 10 KB", "application/json", gzipSync(Buffer.alloc(10_485_760, 0x20)), { "content-encoding": "gzip" }],
  ["another charset", "application/json; charset=utf-16", '{"purpose":"x"}'],
  ["bytes that are no UTF-8", "application/json", Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
  ["a lone surrogate", "application/json", '{"purpose":"\\ud800"}'],
  ["NUL", "application/json", '{"purpose":"\\u0000"}'],
  ["a prototype", "application/json", '{"__proto__":{"admin":true},"constructor":{"prototype":{"x":1}}}'],
  ["a name twice", "application/json", '{"ttl":"1m","ttl":"9h"}'],
  ["numbers without end", "application/json", `{"ttl":${"9".repeat(60_000)}}`],
  ["an exponent", "application/json", '{"ttl":1e309}'],
  ["a number in hex", "application/json", '{"ttl":0x10}'],
  ["a comment", "application/json", '{"ttl":"1m"/**/}'],
  ["a byte order mark", "application/json", "\ufeff{}"],
  [
    "10,000 members",
    "application/json",
    JSON.stringify(Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`k${n}`, n]))).slice(0, 65_000),
  ],
  ["10,000 fields", "application/x-www-form-urlencoded", "a=1&".repeat(10_000)],
  ["broken percent signs", "application/x-www-form-urlencoded", "%".repeat(10_000)],
  [
    "strings that programs stumble over",
    "application/json",
    JSON.stringify({
      purpose: "undefined null NaN '; DROP TABLE leases; -- <script>alert(1)</script> ${7*7} {{7*7}} %s%n ../../etc/passwd \u202e",
    }),
  ],
  ["nothing", "application/json", ""],
  ["half of something", "application/json", '{"ttl":'],
];
const POSTS = [
  "/v1/tasks",
  "/oauth2/token",
  "/oauth2/introspect",
  "/oauth2/revoke",
  "/v1/revocations",
  "/access/v1/evaluation",
  "/v1/policy/simulate",
];

/** Bodies made to hurt a parser, at every kind of route. */
export const nastyBodies: Fault = {
  id: "A15",
  what: "bodies made to hurt a parser: deep, doubled, compressed, in another charset",
  async run(form, say) {
    const rounds = form === "long" ? 20 : 1;
    const promises = new Promises();
    await using idp = await startIdp();
    await using broker = await startMain({ documents: (url) => shopDocuments(idp, url) });
    const rss = (): Promise<number> => residentOf(broker);
    await oneRound(broker, promises, Number.POSITIVE_INFINITY);
    const before = await rss();
    let slowest = 0;
    for (let round = 0; round < rounds; round += 1)
      slowest = Math.max(slowest, await oneRound(broker, promises, form === "long" ? 200 : 3_000));
    const grown = ((await rss()) - before) / 1_048_576;
    say(`${rounds * NASTY.length * POSTS.length} bodies, slowest ${Math.round(slowest)} ms`);
    promises.expect(grown < 50, `the process grew by ${Math.round(grown)} MB`);
    promises.expect((await fetch(`${broker.at}/readyz`)).ok, "the broker is not ready any more");
    return {
      figures: { bodies: rounds * NASTY.length * POSTS.length, slowest_ms: Math.round(slowest), grown_mb: Math.round(grown) },
      broken: promises.broken,
    };
  },
};

async function oneRound(broker: MainProcess, promises: Promises, limitMs: number): Promise<number> {
  let slowest = 0;
  for (const path of POSTS) {
    for (const [name, type, body, headers = {}] of NASTY) {
      const send = async (): Promise<number> => {
        const startedAt = performance.now();
        const authorization = `Bearer ${broker.operator}`;
        const sent = fetch(`${broker.at}${path}`, { method: "POST", body, headers: { "content-type": type, authorization, ...headers } });
        // a body that is far too large may find its connection closed before it has been sent
        const response = await sent.catch(() => undefined);
        await response?.arrayBuffer();
        promises.expect((response?.status ?? 400) < 500, `${name} at ${path}: ${response?.status}`);
        return performance.now() - startedAt;
      };
      let ms = await send();
      // what is slow again and again is slow by itself, and not because the machine was busy
      for (let again = 0; again < 2 && ms > limitMs; again += 1) ms = Math.min(ms, await send());
      slowest = Math.max(slowest, ms);
      promises.expect(ms <= limitMs, `${name} at ${path} took ${Math.round(ms)} ms`);
    }
  }
  return slowest;
}

async function residentOf({ metrics }: MainProcess): Promise<number> {
  const text = await (await fetch(metrics)).text();
  return Number(/^process_resident_memory_bytes (\S+)$/m.exec(text)?.[1]);
}
