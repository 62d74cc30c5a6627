import { setTimeout as pause } from "node:timers/promises";
import { openStore } from "../../../store/open.ts";
import { eventually } from "../events.ts";
import { startIdp } from "../idp.ts";
import { startMain } from "../main-process.ts";
import { startRedis, type TestRedis } from "../redis.ts";
import { startLoad } from "../round-robin.ts";
import { shopDocuments } from "../shop.ts";
import { startTcpProxy } from "../tcp-proxy.ts";
import { Promises, type Fault } from "./fault.ts";

/** The store promises an answer within two seconds; what the machine itself adds is left to it. */
const ANSWERED_MS = { short: 6_000, long: 2_300 } as const;
const CALM_AGAIN_MS = { short: 15_000, long: 5_000 } as const;

const opened = async (redis: TestRedis): Promise<number> => {
  const store = await openStore({ url: redis.url });
  const { opened: count } = await store.leases.counts();
  await store.close();
  return count;
};

/** Redis stops answering while requests come in, and goes on. */
export const hungStore: Fault = {
  id: "F5",
  what: "Redis hangs (SIGSTOP) for 10 s during load",
  async run(form, say) {
    const [hangMs, perSecond] = form === "long" ? [10_000, 100] : [3_000, 20];
    const promises = new Promises();
    await using redis = await startRedis({ aof: true });
    await using idp = await startIdp();
    await using broker = await startMain({ documents: (url) => shopDocuments(idp, url), redisUrl: redis.url });
    await using load = startLoad({ brokers: [broker.at], audience: broker.url, idp, perSecond, attempts: 1, timeoutMs: 20_000 });
    await eventually("a load", () => load.issued() >= perSecond, 30_000);
    redis.pause();
    const stoppedAt = performance.now();
    await pause(hangMs);
    redis.resume();
    const resumedAt = performance.now();
    const before = load.issued();
    await eventually("credentials again", () => load.issued() > before + perSecond / 2, 30_000);
    const calmMs = performance.now() - resumedAt;
    say(`served again after ${Math.round(calmMs)} ms`);
    const { answers, leases, asked } = await load.stop();
    const meanwhile = answers.filter(({ at }) => at >= stoppedAt && at < resumedAt - 2_000);
    const slowest = Math.max(0, ...meanwhile.map(({ ms }) => ms));
    promises.expect(meanwhile.length > 0, "nothing was asked while Redis hung");
    promises.expect(slowest <= ANSWERED_MS[form], `an answer took ${Math.round(slowest)} ms while Redis hung`);
    const strange = meanwhile.filter(({ status }) => status !== 503 && status !== 429);
    promises.expect(strange.length === 0, `${strange.length} answers were neither 503 nor 429, for example ${strange[0]?.status}`);
    promises.expect(calmMs <= CALM_AGAIN_MS[form], `it took ${Math.round(calmMs)} ms to serve again`);
    promises.expect(new Set(leases).size === leases.length, "a lease was handed out twice");
    const count = await opened(redis);
    promises.expect(
      count >= leases.length && count <= asked,
      `${count} leases were opened for ${asked} requests and ${leases.length} credentials`,
    );
    const figures = { asked, meanwhile: meanwhile.length, slowest_ms: Math.round(slowest), served_again_ms: Math.round(calmMs) };
    return { figures, broken: promises.broken };
  },
};

/** Every reply of Redis comes 200 ms late. */
export const slowStore: Fault = {
  id: "F11",
  what: "Redis is 200 ms slow, through a proxy",
  async run(form, say) {
    const [ms, perSecond] = form === "long" ? [30_000, 600] : [4_000, 20];
    const promises = new Promises();
    await using redis = await startRedis();
    await using idp = await startIdp();
    await using proxy = await startTcpProxy({ path: redis.socket ?? "" });
    await using broker = await startMain({ documents: (url) => shopDocuments(idp, url), redisUrl: `redis://127.0.0.1:${proxy.port}` });
    await using load = startLoad({ brokers: [broker.at], audience: broker.url, idp, perSecond, attempts: 1, timeoutMs: 20_000 });
    await eventually("a load", () => load.issued() >= 20, 30_000);
    proxy.delay(200);
    const slowFrom = performance.now();
    await pause(ms);
    const slowUntil = performance.now();
    proxy.delay(0);
    const { answers } = await load.stop();
    const meanwhile = answers.filter(({ at }) => at >= slowFrom && at < slowUntil - 3_000);
    const served = meanwhile
      .filter(({ status }) => status === 200)
      .map(({ ms: took }) => took)
      .toSorted((a, b) => a - b);
    const p99 = served[Math.floor(served.length * 0.99)] ?? Number.NaN;
    const shed = meanwhile.filter(({ status }) => status === 429 || status === 503).length;
    say(`${served.length} served, ${shed} shed, p99 ${Math.round(p99)} ms`);
    promises.expect(served.length > 0, "nothing was served");
    promises.expect(p99 <= (form === "long" ? 1_500 : 5_000), `p99 of what was served is ${Math.round(p99)} ms`);
    promises.expect(served.length + shed === meanwhile.length, "an answer was neither a credential nor a refusal for want of room");
    return { figures: { served: served.length, shed, p99_ms: Math.round(p99) }, broken: promises.broken };
  },
};
