import { readdir } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { eventually } from "../../support/events.ts";
import { startIdp, type TestIdp } from "../../support/idp.ts";
import { startMain, type MainProcess } from "../../support/main-process.ts";
import { startLoad } from "../../support/round-robin.ts";
import { shopDocuments } from "../../support/shop.ts";

const ALONE = { connection: "close" };

describe("a broker with three workers", () => {
  let idp: TestIdp;
  let broker: MainProcess;
  beforeAll(async () => {
    idp = await startIdp();
    broker = await startMain({ documents: (url) => shopDocuments(idp, url), env: { STINT_WORKERS: "3" } });
    await eventually("all of them serve", async () => (await figure("stint_workers")) === 3, 20_000);
  }, 60_000);
  afterAll(async () => {
    await broker[Symbol.asyncDispose]();
    await idp[Symbol.asyncDispose]();
  });

  const metrics = async (): Promise<string> => (await fetch(broker.metrics, { headers: ALONE, signal: AbortSignal.timeout(5_000) })).text();
  const figure = async (name: string): Promise<number> =>
    [...(await metrics()).matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, "gm"))].reduce((sum, [, value]) => sum + Number(value), 0);
  const served = (): Promise<number> => figure("stint_http_request_duration_seconds_count");
  const load = () => startLoad({ brokers: [broker.at], audience: broker.url, idp, perSecond: 20 });

  it("runs them on one listener, each taking its share of connections", async () => {
    const workers = await broker.workers();
    expect(workers).toHaveLength(3);
    for (let count = 0; count < 12; count += 1) expect((await fetch(`${broker.at}/v1/whoami`, { headers: ALONE })).status).toBe(401);
    const served = (): ReadonlySet<number> =>
      new Set([...broker.log().matchAll(/"pid":(\d+).*"request served"/g)].map(([, pid]) => Number(pid)));
    // lines of a log come together, a moment later
    await eventually("each has served some", () => served().size === workers.length);
    expect(served()).toEqual(new Set(workers));
  });

  it("adds up what they count, and not what they all see of the one store", async () => {
    await using running = load();
    await eventually("leases", () => running.issued() >= 30);
    const { issued } = await running.stop();
    // a worker that is too busy to tell is shown as it was
    const text = await eventually("the sum", async () => {
      const shown = await metrics();
      return (
        shown.includes(`stint_token_requests_total{grant="deploy",attestor="none",outcome="issued",error="none"} ${issued}\n`) && shown
      );
    });
    expect(text).toMatch(/^stint_build_info\{.*\} 1$/m);
    expect(text).toMatch(/^stint_redis_up 1$/m);
    expect(text).not.toContain("_total_total");
    expect(text.endsWith("# EOF\n")).toBe(true);
  });

  it("shows events of all of them to whoever watches one", async () => {
    const headers = { authorization: `Bearer ${broker.operator}` };
    const over = new AbortController();
    const stream = await fetch(`${broker.at}/v1/events?action=lease.issued`, { headers, signal: over.signal });
    let text = "";
    const reading = (async () => {
      for await (const chunk of stream.body ?? []) text += Buffer.from(chunk).toString();
    })().catch(() => undefined);
    await eventually("watching", () => text.includes("watching"));
    await using running = load();
    await eventually("leases", () => running.issued() >= 30);
    const { leases } = await running.stop();
    // the first ones may come before the others have heard that somebody watches
    await eventually("their events", () => leases.slice(-15).every((lease) => text.includes(lease)));
    over.abort();
    await reading;
  });

  it("replaces one that is killed, and what it counted is not forgotten", async () => {
    const before = await served();
    const [victim = 0] = await broker.workers();
    process.kill(victim, "SIGKILL");
    await eventually(
      "a new one",
      async () => (await figure("stint_worker_exits_total")) === 1 && (await figure("stint_workers")) === 3,
      20_000,
    );
    expect(await broker.workers()).not.toContain(victim);
    expect(await served()).toBeGreaterThanOrEqual(before);
    expect(broker.log()).toContain("worker ended; it is replaced");
  });

  it("replaces all of them at SIGUSR2 while requests come in, and none fails", async () => {
    const before = await broker.workers();
    await using running = load();
    await eventually("a load", () => running.issued() >= 50);
    broker.child.kill("SIGUSR2");
    await eventually("all replaced", () => broker.log().includes("workers replaced"), 90_000);
    const report = await running.stop();
    // how often one has to be sent again is for the long run to say, which has the machine to itself
    expect(report).toMatchObject({ failed: [], refused: 0, issued: report.asked });
    expect(new Set(report.leases).size).toBe(report.issued);
    for (const pid of await broker.workers()) expect(before).not.toContain(pid);
  }, 120_000);

  it("reloads all of them at SIGHUP", async () => {
    await broker.configure(shopDocuments(idp, broker.url).replaceAll("name: few", "name: fewer"));
    broker.child.kill("SIGHUP");
    await eventually("reloaded", () => [...broker.log().matchAll(/"configuration reloaded"/g)].length === 3);
    for (let count = 0; count < 6; count += 1) {
      const view = await fetch(`${broker.at}/readyz`, { headers: ALONE });
      expect(view.status).toBe(200);
    }
    await broker.configure("kind: Grnat\nname: x\n");
    broker.child.kill("SIGHUP");
    await eventually("refused", () => [...broker.log().matchAll(/what was in force stays/g)].length >= 3);
    await broker.configure(shopDocuments(idp, broker.url));
  });

  it("writes one audit chain", async () => {
    const answer = await fetch(`${broker.at}/v1/audit?limit=1`, { headers: { ...ALONE, authorization: `Bearer ${broker.operator}` } });
    expect(answer.status).toBe(200);
    await eventually("exported", async () => (await readdir(broker.auditDir)).includes("checkpoint"));
    expect(broker.log()).not.toMatch(/"level":"error".*audit/);
  });

  it("stops within ten seconds, its requests answered", async () => {
    await using running = startLoad({ brokers: [broker.at], audience: broker.url, idp, perSecond: 20 });
    await eventually("a load", () => running.issued() >= 20);
    const startedAt = performance.now();
    broker.child.kill("SIGTERM");
    expect(await broker.exited).toBe(0);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    const { failed } = await running.stop();
    for (const each of failed) expect(each).toContain("ECONNREFUSED");
    expect(await broker.workers()).toEqual([]);
  }, 30_000);
});

describe("a broker whose workers cannot serve", () => {
  it("ends with the code and the words of the first", async () => {
    await using idp = await startIdp();
    await expect(startMain({ documents: () => "kind: Grnat\nname: x\n", env: { STINT_WORKERS: "2" } })).rejects.toThrow("Grnat");
    await expect(
      startMain({ documents: (url) => shopDocuments(idp, url), env: { STINT_WORKERS: "2", STINT_METRICS_LISTEN: "192.0.2.1:9" } }),
    ).rejects.toThrow("cannot listen on 192.0.2.1:9");
  }, 60_000);
});
