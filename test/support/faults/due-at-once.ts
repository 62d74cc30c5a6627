import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { systemClock } from "../../../domain/time.ts";
import { openStore } from "../../../store/open.ts";
import { presetClaims } from "../idp-claims.ts";
import { startIdp, type TestIdp } from "../idp.ts";
import { startMain, type MainProcess } from "../main-process.ts";
import { startRedis, type TestRedis } from "../redis.ts";
import { DEPLOY_KEY, shopDocuments } from "../shop.ts";
import { fillWithLeases } from "./crowd.ts";
import { Promises, type Fault } from "./fault.ts";

/** Filling takes its time; all leases end `aheadMs` after it began. */
const SIZES = {
  short: { leases: 2_000, aheadMs: 6_000, calmMs: 500 },
  long: { leases: 1_000_000, aheadMs: 240_000, calmMs: 10_000 },
} as const;
const ENDED_WITHIN_MS = 35_000;
const SLOWER_BY_MS = 20;
const BYTES = 1_000_000_000;
const EVERY_MS = 10;

/** So many token leases expire in the same instant, while a verifier introspects. */
export const dueAtOnce: Fault = {
  id: "F16",
  what: "1,000,000 token leases due in the same instant",
  async run(form, say) {
    const promises = new Promises();
    const { leases, aheadMs, calmMs } = SIZES[form];
    await using redis = await startRedis({ args: form === "short" ? [] : ["--appendonly", "yes", "--appendfsync", "everysec"] });
    await using idp = await startIdp();
    const endAt = systemClock() + aheadMs;
    await fillWithLeases({ url: redis.url, leases, endAt, subject: (index) => `github:${Math.floor(index / 100)}` });
    const spareMs = endAt - systemClock();
    say(`${leases} leases filled in, ${Math.round(spareMs / 1000)} s before they are due`);
    if (spareMs < calmMs + 5_000 && form === "long")
      throw new Error("filling took too long on this machine: nothing can be said of the calm before");
    await using main = await startMain({ documents: (url) => shopDocuments(idp, url), redisUrl: redis.url });
    const token = await tokenFrom(main, idp);
    const introspect = (): Promise<boolean> => isActive(main, token);
    const calm = await introspectFor(introspect, () => systemClock() >= endAt - 500);
    await pause(Math.max(0, endAt - systemClock()));
    const store = await openStore({ url: redis.url });
    const began = performance.now();
    const cpu = async (): Promise<readonly [number, number]> => [await redisCpu(redis), await processCpu(main.child.pid ?? 0)];
    const before = await cpu();
    let peak = 0;
    let left: number = leases;
    const watch = (async () => {
      while (left > 0 && performance.now() - began < 120_000) {
        left = leases - ((await store.leases.counts()).byState["revoked"] ?? 0);
        peak = Math.max(peak, Number(/used_memory:(\d+)/.exec(await redis.client().info("memory"))?.[1] ?? 0));
        await pause(100);
      }
    })();
    const storm = await introspectFor(introspect, () => left <= 0);
    await watch;
    const endedMs = Math.round(performance.now() - began);
    const [redisS, brokerS] = (await cpu()).map((seconds, index) => Math.round((seconds - (before[index] ?? 0)) * 10) / 10);
    const counts = await store.leases.counts();
    await store.close();
    promises.expect(left <= 0, `${left} leases are not ended`);
    promises.expect(counts.byState["revoked"] === leases, `${counts.byState["revoked"]} leases ended, of ${leases}`);
    promises.expect(calm.wrong + storm.wrong === 0, `${calm.wrong + storm.wrong} introspections were not answered with what is true`);
    if (form === "long") {
      promises.expect(endedMs <= ENDED_WITHIN_MS, `all were ended after ${endedMs} ms`);
      promises.expect(storm.p99Ms <= calm.p99Ms + SLOWER_BY_MS, `p99 of introspection was ${calm.p99Ms} ms and became ${storm.p99Ms} ms`);
      promises.expect(peak < BYTES, `Redis held ${peak} bytes`);
    }
    return {
      figures: {
        leases,
        ended_ms: endedMs,
        p99_calm_ms: calm.p99Ms,
        p99_storm_ms: storm.p99Ms,
        introspections: calm.asked + storm.asked,
        redis_cpu_s: redisS ?? 0,
        broker_cpu_s: brokerS ?? 0,
        redis_mb: Math.round(peak / 1e6),
      },
      broken: promises.broken,
    };
  },
};

/** Seconds of a core. On a machine with other work these say what the clock on the wall cannot. */
async function redisCpu(redis: TestRedis): Promise<number> {
  const info = await redis.client().info("cpu");
  return Number(/used_cpu_user:([\d.]+)/.exec(info)?.[1]) + Number(/used_cpu_sys:([\d.]+)/.exec(info)?.[1]);
}

async function processCpu(pid: number): Promise<number> {
  const words = (await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "")).replace(/^.*\) /, "").split(" ");
  return (Number(words[11] ?? 0) + Number(words[12] ?? 0)) / 100;
}

async function tokenFrom(main: MainProcess, idp: TestIdp): Promise<string> {
  const evidence = await idp.token(
    presetClaims("github", { iss: idp.issuer, aud: main.url, repository_id: "456789", ref: "refs/heads/main" }),
  );
  const body = new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token: evidence,
    subject_token_type: "urn:ietf:params:oauth:token-type:id_token",
    scope: "grant:deploy",
    ttl: "30m",
  });
  const response = await fetch(`${main.at}/oauth2/token`, { method: "POST", body });
  const answer = (await response.json()) as { readonly access_token?: string };
  if (answer.access_token === undefined) throw new Error(`no token: ${JSON.stringify(answer)}`);
  return answer.access_token;
}

async function isActive(main: MainProcess, token: string): Promise<boolean> {
  const authorization = `Basic ${Buffer.from(`deploy-api:${DEPLOY_KEY}`).toString("base64")}`;
  const response = await fetch(`${main.at}/oauth2/introspect`, {
    method: "POST",
    headers: { authorization },
    body: new URLSearchParams({ token }),
  });
  return ((await response.json()) as { readonly active?: boolean }).active === true;
}

/** One introspection every ten milliseconds, whether or not those before were answered. */
async function introspectFor(ask: () => Promise<boolean>, over: () => boolean): Promise<{ asked: number; wrong: number; p99Ms: number }> {
  const [ms, under] = [[] as number[], new Set<Promise<void>>()];
  let wrong = 0;
  while (!over()) {
    const began = performance.now();
    const one: Promise<void> = ask()
      .then(
        (active) => void (wrong += active ? 0 : 1),
        () => void (wrong += 1),
      )
      .finally(() => {
        ms.push(performance.now() - began);
        under.delete(one);
      });
    under.add(one);
    await pause(EVERY_MS);
  }
  await Promise.all(under);
  const sorted = ms.toSorted((a, b) => a - b);
  return { asked: ms.length, wrong, p99Ms: Math.round(sorted[Math.floor(sorted.length * 0.99)] ?? 0) };
}
