import { describe, expect, it } from "@jest/globals";
import { fakeClock } from "./clock.ts";
import { startCluster } from "./cluster.ts";
import { eventually, EventLog } from "./events.ts";
import { startRedis } from "./redis.ts";
import { startSentinel } from "./sentinel.ts";

describe("a private Redis for a test", () => {
  it("answers on its socket and on its URL", async () => {
    await using redis = await startRedis();
    await redis.client().set("a", "1");
    expect(await redis.client().get("a")).toBe("1");
    expect(redis.url).toMatch(/^redis:\/\/127\.0\.0\.1:\d+\/\d+$/);
  });

  it("keeps what was acknowledged through SIGKILL when its append-only file is on", async () => {
    await using redis = await startRedis({ aof: true });
    const client = redis.client();
    await client.set("kept", "yes");
    await redis.kill9();
    await redis.restart();
    expect(await client.get("kept")).toBe("yes");
  });

  it("can be stopped and resumed, as a hung server would be", async () => {
    await using redis = await startRedis({ args: ["--maxmemory", "32mb"] });
    const client = redis.client();
    await client.ping();
    redis.pause();
    const answer = client.ping();
    expect(await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 50, "silence"))])).toBe("silence");
    redis.resume();
    expect(await answer).toBe("PONG");
  });
});

describe("a three-primary Cluster for a test", () => {
  it("spreads keys over all three", async () => {
    await using cluster = await startCluster();
    const client = cluster.client();
    for (const key of ["{b00}", "{b01}", "{b02}", "{b03}", "{b04}", "{b05}"]) await client.set(key, "x");
    const sizes = await Promise.all(client.nodes("master").map((node) => node.dbsize()));
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(6);
    expect(sizes.length).toBe(3);
  });
});

describe("a Sentinel set for a test", () => {
  it("promotes the replica when the primary dies", async () => {
    await using sentinel = await startSentinel();
    const client = sentinel.client();
    await client.set("a", "1");
    expect(await client.wait(1, 2000)).toBeGreaterThanOrEqual(1);
    await sentinel.primary.kill("SIGKILL");
    await eventually("the replica takes writes", async () => (await client.set("a", "2")) === "OK", 25_000);
    expect(await client.get("a")).toBe("2");
  });
});

describe("a fake clock", () => {
  it("moves only when told to, in either direction", () => {
    const clock = fakeClock(1000);
    expect(clock()).toBe(1000);
    expect(clock.advance({ seconds: 2, ms: 5 })).toBe(3005);
    expect(clock.advance({ hours: -1 })).toBe(3005 - 3_600_000);
    expect(clock.set("1970-01-01T00:00:01.000Z")).toBe(1000);
    expect(() => clock.set("soon")).toThrow(TypeError);
  });
});

describe("an event log", () => {
  it("hands over the next event that fits", async () => {
    const log = new EventLog<string>();
    const next = log.next((event) => event.startsWith("b"));
    log.record("a1");
    log.record("b1");
    expect(await next).toBe("b1");
    expect(log.count((event) => event.startsWith("a"))).toBe(1);
  });
});
