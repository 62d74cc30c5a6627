import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { openStore } from "../../../store/open.ts";
import { eventually } from "../events.ts";
import { startIdp, type TestIdp } from "../idp.ts";
import { newMasterKey, startMain, type MainProcess } from "../main-process.ts";
import { freePort, startRedis, type TestRedis } from "../redis.ts";
import { startLoad, type LoadReport } from "../round-robin.ts";
import { shopDocuments } from "../shop.ts";
import { Promises, type Fault, type FaultReport } from "./fault.ts";

/** The suite shares its machine with others: what it holds fast is that nothing fails, not how much is served meanwhile. */
const SIZES = {
  short: { restarts: 2, rolls: 1, perSecond: 20 },
  long: { restarts: 20, rolls: 5, perSecond: 200 },
} as const;

/** Two brokers behind a plain client, stopped and started in turn; then one with workers, all replaced again and again. */
export const rollingRestart: Fault = {
  id: "F25",
  what: "SIGTERM under 200 requests a second, and a rolling restart of brokers and of workers",
  async run(form, say) {
    const { restarts, rolls, perSecond } = SIZES[form];
    const promises = new Promises();
    const brokers = await restartBrokers(restarts, perSecond, say);
    const workers = await replaceWorkers(rolls, perSecond, say);
    for (const [what, { load, opened }] of Object.entries({ brokers, workers })) {
      promises.expect(load.failed.length === 0, `${load.failed.length} requests failed while ${what} were replaced: ${load.failed[0]}`);
      promises.expect(
        opened === load.issued,
        `${load.issued} credentials were handed out and ${opened} leases opened while ${what} were replaced`,
      );
      promises.expect(new Set(load.leases).size === load.issued, `a lease was handed out twice while ${what} were replaced`);
    }
    promises.expect(brokers.slowestStopMs < 10_000, `a broker took ${Math.round(brokers.slowestStopMs)} ms to stop`);
    promises.expect(brokers.uncleanStops === 0, `${brokers.uncleanStops} brokers did not stop cleanly`);
    const again = [...brokers.load.causes, ...workers.load.causes];
    if (form === "long") promises.expect(again.length === 0, `${again.length} requests had to be sent again: ${again[0]}`);
    promises.expect(workers.load.refused === 0, "a connection was refused while workers were replaced");
    return {
      figures: {
        ...figures("broker", brokers.load),
        slowest_stop_ms: Math.round(brokers.slowestStopMs),
        ...figures("worker", workers.load),
      },
      broken: promises.broken,
    };
  },
};

const figures = (what: string, load: LoadReport): FaultReport["figures"] => ({
  [`${what}_requests`]: load.asked,
  [`${what}_failed`]: load.failed.length,
  [`${what}_refused_then_next`]: load.refused,
  [`${what}_sent_again`]: load.resent,
  [`${what}_p99_ms`]: Math.round(load.p99Ms),
});

interface Restarted {
  readonly load: LoadReport;
  readonly opened: number;
  readonly slowestStopMs: number;
  readonly uncleanStops: number;
}

async function restartBrokers(restarts: number, perSecond: number, say: (line: string) => void): Promise<Restarted> {
  await using redis = await startRedis({ aof: true });
  await using idp = await startIdp();
  const masterKey = newMasterKey();
  const places = await Promise.all(
    [0, 1].map(async () => ({ port: await freePort(), folder: await mkdtemp(join(tmpdir(), "stint-roll-")) })),
  );
  const url = `http://127.0.0.1:${places[0]?.port}`;
  const start = (place: { readonly port: number; readonly folder: string }): Promise<MainProcess> =>
    startMain({ documents: () => shopDocuments(idp, url), url, redisUrl: redis.url, masterKey, ...place });
  const brokers = await Promise.all(places.map(start));
  let [slowestStopMs, uncleanStops] = [0, 0];
  try {
    await using load = startLoad({ brokers: brokers.map(({ at }) => at), audience: url, idp, perSecond });
    await eventually("a load", () => load.issued() >= perSecond, 30_000);
    for (let count = 0; count < restarts; count += 1) {
      const place = places[count % 2];
      const broker = brokers[count % 2];
      if (place === undefined || broker === undefined) break;
      const startedAt = performance.now();
      broker.child.kill("SIGTERM");
      if ((await broker.exited) !== 0) uncleanStops += 1;
      slowestStopMs = Math.max(slowestStopMs, performance.now() - startedAt);
      brokers[count % 2] = await start(place);
      await pause(500); // both take their share again before the other one goes
      say(`${count + 1} of ${restarts} restarts, ${load.issued()} credentials`);
    }
    const report = await load.stop();
    return { load: report, opened: await openedIn(redis), slowestStopMs, uncleanStops };
  } finally {
    for (const broker of brokers) await broker[Symbol.asyncDispose]();
    for (const { folder } of places) await rm(folder, { recursive: true, force: true });
  }
}

async function replaceWorkers(rolls: number, perSecond: number, say: (line: string) => void): Promise<Pick<Restarted, "load" | "opened">> {
  await using redis = await startRedis({ aof: true });
  await using idp: TestIdp = await startIdp();
  await using broker = await startMain({ documents: (url) => shopDocuments(idp, url), redisUrl: redis.url, env: { STINT_WORKERS: "2" } });
  await using load = startLoad({ brokers: [broker.at], audience: broker.url, idp, perSecond });
  await eventually("a load", () => load.issued() >= perSecond, 30_000);
  for (let count = 1; count <= rolls; count += 1) {
    broker.child.kill("SIGUSR2");
    await eventually("all replaced", () => broker.log().split("workers replaced").length > count, 90_000);
    say(`${count} of ${rolls} times all workers replaced, ${load.issued()} credentials`);
  }
  const report = await load.stop();
  return { load: report, opened: await openedIn(redis) };
}

async function openedIn(redis: TestRedis): Promise<number> {
  const store = await openStore({ url: redis.url });
  const { opened } = await store.leases.counts();
  await store.close();
  return opened;
}
