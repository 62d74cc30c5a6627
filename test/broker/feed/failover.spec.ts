import { describe, expect, it } from "@jest/globals";
import { Redis } from "ioredis";
import { Follower } from "../../../broker/feed/follower.ts";
import { bucketOfId } from "../../../domain/ids.ts";
import { openStore } from "../../../store/open.ts";
import { fakeClock } from "../../support/clock.ts";
import { eventually } from "../../support/events.ts";
import { openOrder, storeClock } from "../../support/orders.ts";
import { startSentinel } from "../../support/sentinel.ts";

const ENDED = { action: "lease.ended", principal: "test" } as const;

describe("the feed across a failover that takes back what was told", () => {
  it("finds that something is missing, for those who read on and for those who come back later, at any broker", async () => {
    await using sentinel = await startSentinel();
    const clock = fakeClock();
    const store = await openStore({ url: sentinel.url, clock: storeClock(clock) });
    const obtain = async () => {
      const reply = await store.leases.open(openOrder(clock, "github:1"));
      if (reply.outcome !== "opened") throw new Error(JSON.stringify(reply));
      return reply.lease.id;
    };
    const [lost, acknowledged] = [await obtain(), await obtain()];
    const bucket = bucketOfId(lost);
    const told: string[] = [];
    let gaps = 0;
    const follower = await Follower.start(store.feed, clock, {
      entries: (entries) => entries.forEach((entry) => entry.kind === "lease" && told.push(entry.lease)),
      gap: () => void (gaps += 1),
    });
    const stopHints = await store.feed.hints((hint) => void follower.hear(hint));
    // the primary goes on alone, tells of an ending, and is then followed by one that has never heard of it
    const old = new Redis({ host: "127.0.0.1", port: sentinel.primary.port });
    await old.config("SET", "requirepass", "cut-off");
    await old.call("CLIENT", "KILL", "TYPE", "replica");
    await expect(store.leases.end(lost, "revoked", ENDED)).rejects.toMatchObject({ code: "store_unavailable" });
    await eventually("the follower has heard of it", async () => told.includes(lost));
    const read = follower.position.vector[bucket] ?? 0;
    const watcher = new Redis({ host: "127.0.0.1", port: sentinel.sentinel.port });
    await watcher.call("SENTINEL", "FAILOVER", "stint");
    await eventually(
      "another primary ends the other lease",
      () => store.leases.end(acknowledged, "revoked", ENDED).catch(() => undefined),
      20_000,
    );
    expect(await store.leases.isLive(lost, undefined)).toBe(true);
    expect((await store.feed.read(bucket, read - 1, 10)).entries).toMatchObject([{ kind: "lease", lease: acknowledged }]);
    await follower.look();
    expect(gaps).toBeGreaterThan(0);
    await follower.look();
    expect((await store.feed.read(bucket, read, 10)).gap).toBe(true);
    await stopHints();
    old.disconnect();
    watcher.disconnect();
    await store.close();
  }, 60_000);
});
