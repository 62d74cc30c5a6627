import { connect } from "node:net";
import { describe, expect, it } from "@jest/globals";
import { createEventBus } from "../../../broker/events.ts";
import { fakeClock } from "../../support/clock.ts";
import { eventually } from "../../support/events.ts";
import { startHttp, type TestHttp } from "../../support/http.ts";
import { OPERATORS } from "../../support/memory-services.ts";

interface Watcher {
  readonly response: Response;
  text(): string;
  stop(): Promise<void>;
}

async function watch(http: TestHttp, query = "", headers: Record<string, string> = {}): Promise<Watcher> {
  const stop = new AbortController();
  const response = await http.fetch(`/v1/events${query}`, {
    headers: { authorization: `Bearer ${OPERATORS.viewer}`, ...headers },
    signal: stop.signal,
  });
  let text = "";
  const reading = (async () => {
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) text += Buffer.from(chunk).toString();
  })().catch(() => undefined);
  return {
    response,
    text: () => text,
    async stop() {
      stop.abort();
      await reading;
    },
  };
}

describe("watching events", () => {
  it("shows what happens as it happens, and only what was asked for", async () => {
    const bus = createEventBus(fakeClock());
    await using http = await startHttp({ events: bus });
    const all = await watch(http);
    const some = await watch(http, "?action=lease.issued&workload=github%2Facme%2Fshop");
    expect(all.response.headers.get("content-type")).toBe("text/event-stream");
    expect(all.response.headers.get("cache-control")).toBe("no-store");
    bus.publish("lease.issued", { workload: "github/acme/shop", note: "a\nb" });
    bus.publish("lease.issued", { workload: "github/acme/other" });
    bus.publish("lock.added", { workload: "github/acme/shop" });
    await eventually("three events", () => all.text().split("event: ").length === 4);
    expect(some.text().match(/event: /g)).toHaveLength(1);
    expect(some.text()).toContain('data: {"workload":"github/acme/shop","note":"a\\nb","at":"2026-03-02T12:00:00.000Z"}\n\n');
    await Promise.all([all.stop(), some.stop()]);
  });

  it("goes on after the last event that was seen", async () => {
    const bus = createEventBus(fakeClock());
    await using http = await startHttp({ events: bus });
    for (const n of [1, 2, 3]) bus.publish("lease.issued", { n });
    const watcher = await watch(http, "", { "last-event-id": `${fakeClock()()}-1` });
    await eventually("two events", () => watcher.text().split("event: ").length === 3);
    expect(watcher.text()).not.toContain('"n":1');
    await watcher.stop();
  });

  it("is cut off for a reader who does not read, and costs the others nothing", async () => {
    const bus = createEventBus(fakeClock());
    await using http = await startHttp({ events: bus });
    const slow = connect(http.port, "127.0.0.1");
    slow.on("error", () => undefined);
    slow.write(`GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${OPERATORS.viewer}\r\n\r\n`);
    slow.pause();
    const closed = new Promise<boolean>((resolve) => slow.once("close", () => resolve(true)));
    await eventually("the slow reader", () => http.served.length === 1);
    const big = "x".repeat(60_000);
    for (let n = 0; n < 400; n++) {
      bus.publish("lease.issued", { big });
      if (n % 20 === 0) await new Promise(setImmediate);
    }
    const quick = await watch(http);
    bus.publish("lease.issued", { n: "seen" });
    await eventually("the quick reader", () => quick.text().includes("seen"));
    await quick.stop();
    slow.resume();
    expect(await closed).toBe(true);
  });

  it("ends for 64 at once", async () => {
    await using http = await startHttp({ events: createEventBus(fakeClock()) });
    const watchers = await Promise.all(Array.from({ length: 64 }, () => watch(http)));
    const refused = await watch(http);
    expect([refused.response.status, refused.response.headers.get("retry-after")]).toEqual([429, "30"]);
    await Promise.all(watchers.map((watcher) => watcher.stop()));
    await eventually("room again", async () => {
      const again = await watch(http);
      await again.stop();
      return again.response.status === 200;
    });
  });
});
