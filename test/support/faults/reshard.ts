import { Redis } from "ioredis";
import { systemClock } from "../../../domain/time.ts";
import { ALL_BUCKETS, placeKey } from "../../../store/keyspace.ts";
import { openStore } from "../../../store/open.ts";
import { slotOf } from "../../../store/slot.ts";
import { startCluster } from "../cluster.ts";
import { Promises, type Fault } from "./fault.ts";
import { judge, startLedger } from "./ledger.ts";

/** How many of the first primary's buckets move to the second, and how many slots that hold none. */
const SIZES = { short: { buckets: 3, others: 10, fillMs: 300 }, long: { buckets: 64, others: 500, fillMs: 10_000 } } as const;
const KEYS_AT_ONCE = 100;

/** Slots with live leases in them move from one primary to another while leases are opened and revoked. */
export const reshard: Fault = {
  id: "F27",
  what: "a Cluster of three primaries with replicas, its slots moved to another primary under load",
  async run(form, say) {
    const promises = new Promises();
    const size = SIZES[form];
    await using cluster = await startCluster({ replicas: 1 });
    const store = await openStore({ url: cluster.url });
    const load = startLedger(store, systemClock, { lanes: 16 });
    try {
      await load.healed();
      await new Promise((resolve) => setTimeout(resolve, size.fillMs));
      const [from, to] = cluster.ports;
      const mine = ALL_BUCKETS.map((bucket) => slotOf(placeKey(bucket))).filter((slot) => slot < Math.ceil(16_384 / 3));
      const empty = Array.from({ length: size.others }, (_, slot) => slot).filter((slot) => !mine.includes(slot));
      const began = performance.now();
      let keys = 0;
      for (const slot of [...mine.slice(0, size.buckets), ...empty]) keys += await move(slot, from ?? 0, to ?? 0, cluster.ports);
      const movedMs = Math.round(performance.now() - began);
      await load.healed();
      const ledger = await load.stop();
      say(`${keys} keys moved in ${movedMs} ms, ${ledger.asked} asked, ${ledger.unavailable} unavailable`);
      const { lost, broken } = await judge(store, ledger);
      for (const sentence of broken) promises.expect(false, sentence);
      promises.expect(ledger.unavailable * 100 <= ledger.asked, `${ledger.unavailable} of ${ledger.asked} were refused while slots moved`);
      return {
        figures: {
          buckets: Math.min(size.buckets, mine.length),
          keys,
          moved_ms: movedMs,
          asked: ledger.asked,
          unavailable: ledger.unavailable,
          lost,
          gap_ms: Math.round(ledger.gapMs),
        },
        broken: promises.broken,
      };
    } finally {
      await load.stop();
      await store.close();
    }
  },
};

/** As `redis-cli --cluster reshard` does it. */
async function move(slot: number, from: number, to: number, all: readonly number[]): Promise<number> {
  const clients = new Map(all.map((port) => [port, new Redis({ host: "127.0.0.1", port })]));
  const [source, destination] = [clients.get(from), clients.get(to)];
  if (source === undefined || destination === undefined) throw new Error("no such primary");
  try {
    const [sourceId, destinationId] = [String(await source.call("CLUSTER", "MYID")), String(await destination.call("CLUSTER", "MYID"))];
    await destination.call("CLUSTER", "SETSLOT", slot, "IMPORTING", sourceId);
    await source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", destinationId);
    let moved = 0;
    for (;;) {
      const keys = (await source.call("CLUSTER", "GETKEYSINSLOT", slot, KEYS_AT_ONCE)) as string[];
      if (keys.length === 0) break;
      await source.call("MIGRATE", "127.0.0.1", to, "", 0, 5_000, "KEYS", ...keys);
      moved += keys.length;
    }
    // the destination first: it must own the slot before the source sends anybody there
    for (const client of [destination, source, ...clients.values()]) await client.call("CLUSTER", "SETSLOT", slot, "NODE", destinationId);
    return moved;
  } finally {
    for (const client of clients.values()) client.disconnect();
  }
}
