import { openStore, type OpenedStore } from "../../../store/open.ts";
import { systemClock } from "../../../domain/time.ts";
import type { LeaseId } from "../../../domain/ids.ts";
import { eventually } from "../events.ts";
import { openOrder } from "../orders.ts";
import { startRedis } from "../redis.ts";
import { startTcpProxy } from "../tcp-proxy.ts";
import { Promises, type Fault } from "./fault.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const ENDED = { action: "lease.ended", principal: "test" } as const;
const TTL_MS = 600_000;

/**
 * The clock of Redis, as the broker is told it (its answer to TIME is changed on the way), and the broker's own, jump. The machine's
 * clock stays: what Redis itself forgets by time (spent evidence) is not moved by this.
 */
export const clockJumps: Fault = {
  id: "F12",
  what: "clocks of broker and Redis jump an hour and a day, forth and back, together and apart",
  async run() {
    const promises = new Promises();
    let [redisAhead, brokerAhead] = [0, 0];
    await using redis = await startRedis();
    await using proxy = await startTcpProxy({ path: redis.socket ?? "" });
    proxy.rewrite((bytes) => laterTime(bytes, redisAhead));
    const wall = (): number => systemClock() + brokerAhead;
    const store = await openStore({ url: `redis://127.0.0.1:${proxy.port}`, wall });
    const jump = async (redisBy: number, brokerBy: number): Promise<void> => {
      [redisAhead, brokerAhead] = [redisBy, brokerBy];
      await eventually("the jump is noticed", () => Math.abs(store.clock.now() - systemClock() - redisBy) < 1_000, 5_000);
    };
    try {
      const revoked = await opened(store);
      await store.leases.end(revoked, "revoked", ENDED);
      const jumps: readonly [string, number, number][] = [
        ["2.5 s apart", 2_500, 0],
        ["an hour apart", 0, HOUR_MS],
        ["an hour forth", HOUR_MS, HOUR_MS],
        ["an hour back", -HOUR_MS, -HOUR_MS],
        ["a day forth", DAY_MS, DAY_MS],
        ["a day back", -DAY_MS, -DAY_MS],
        ["as it was", 0, 0],
      ];
      const spares = await Promise.all(jumps.map(() => opened(store)));
      let leases = 1 + spares.length;
      for (const [name, redisBy, brokerBy] of jumps) {
        await jump(redisBy, brokerBy);
        const apart = Math.abs(redisBy - brokerBy) > 2_000;
        await eventually("clocks are compared", () => store.clock.agreed() === !apart, 5_000);
        promises.expect(store.clock.agreed() === !apart, `${name}: clocks ${apart ? "" : "dis"}agree`);
        const reply = await store.leases.open(openOrder(store.clock.now)).catch(() => undefined);
        if (reply?.outcome === "opened") {
          leases += 1;
          promises.expect(!apart, `${name}: a lease was opened while clocks disagree`);
          const { openedAt, expiresAt } = reply.lease;
          promises.expect(expiresAt - openedAt <= TTL_MS, `${name}: a lease lives ${expiresAt - openedAt} ms instead of ${TTL_MS}`);
          promises.expect(
            (await store.leases.end(reply.lease.id, "revoked", ENDED))?.state === "revoked",
            `${name}: it could not be revoked`,
          );
          promises.expect(!(await store.leases.isLive(reply.lease.id, undefined)), `${name}: a revoked lease is live`);
        }
        const spare = spares.pop();
        if (spare !== undefined) await store.leases.end(spare, "revoked", ENDED); // whatever clocks say, ending goes on
        promises.expect(spare !== undefined && (await store.leases.get(spare))?.state === "revoked", `${name}: nothing can be ended`);
        promises.expect(!(await store.leases.isLive(revoked, undefined)), `${name}: a lease that was revoked before is live`);
        promises.expect((await store.leases.get(revoked))?.state === "revoked", `${name}: a record is lost`);
      }
      const counts = await store.leases.counts();
      promises.expect(counts.opened === leases, `${leases} leases were opened and ${counts.opened} are counted`);
      return { figures: { jumps: jumps.length, leases }, broken: promises.broken };
    } finally {
      await store.close();
    }
  },
};

async function opened(store: OpenedStore): Promise<LeaseId> {
  const reply = await store.leases.open(openOrder(store.clock.now));
  if (reply.outcome !== "opened") throw new Error(reply.outcome);
  return reply.lease.id;
}

/** TIME is answered with two texts: seconds of ten digits, and microseconds. */
function laterTime(bytes: Buffer, byMs: number): Buffer {
  if (byMs === 0) return bytes;
  const text = bytes.toString("latin1");
  const changed = text.replace(
    /^\*2\r\n\$10\r\n(\d{10})\r\n\$(\d)\r\n(\d{1,6})\r\n/,
    (_all, seconds: string, length: string, micros: string) => {
      const ms = Number(seconds) * 1000 + byMs;
      return `*2\r\n$10\r\n${Math.floor(ms / 1000)}\r\n$${length}\r\n${micros}\r\n`;
    },
  );
  return Buffer.from(changed, "latin1");
}
