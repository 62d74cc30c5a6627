import { openStore } from "../../../store/open.ts";
import type { LeaseId } from "../../../domain/ids.ts";
import { eventually } from "../events.ts";
import { origin } from "../broker.ts";
import { startRedis } from "../redis.ts";
import { openShop } from "../shop.ts";
import { fillWithLeases } from "./crowd.ts";
import { Promises, type Fault } from "./fault.ts";

const LEASES = { short: 1_000, long: 100_000 } as const;
const SUBJECT = "github:loud";

/** Everything that one workload holds is revoked at once. */
export const killSwitch: Fault = {
  id: "F18",
  what: "all leases of a workload that holds 100,000 are revoked",
  async run(form, say) {
    const promises = new Promises();
    const leases = LEASES[form];
    await using redis = await startRedis();
    await fillWithLeases({ url: redis.url, leases, subject: () => SUBJECT });
    await using shop = await openShop({ redis });
    const store = await openStore({ url: redis.url });
    try {
      const ids = await idsOf(store.leases.list.bind(store.leases), leases);
      promises.expect(ids.length === leases, `${ids.length} of ${leases} leases are listed`);
      const began = performance.now();
      const started = await shop.broker.services.revocations.start({
        selector: { kind: "workload", name: SUBJECT },
        reason: "INC-1",
        lockMs: undefined,
        operator: { name: "ann", role: "responder" },
        origin: origin(),
      });
      const ackMs = performance.now() - began;
      const [first, ...others] = [ids.at(-1), ids[0], ids[Math.floor(ids.length / 2)]];
      for (const id of [first, ...others])
        promises.expect(id !== undefined && !(await store.leases.isLive(id, undefined)), "a lease is live after the answer");
      const sampleMs = performance.now() - began - ackMs;
      let live = 0;
      for (let from = 0; from < ids.length; from += 1_000)
        for (const alive of await Promise.all(ids.slice(from, from + 1_000).map((id) => store.leases.isLive(id, undefined))))
          if (alive) live += 1;
      promises.expect(live === 0, `${live} leases are live after the answer`);
      const done = async (): Promise<boolean> => (await shop.broker.services.revocations.get(started.id)).state === "done";
      await eventually("all are cleaned up", done, 60_000);
      const doneMs = Math.round(performance.now() - began);
      const { byState } = await store.leases.counts();
      promises.expect(byState["revoked"] === leases, `${byState["revoked"]} of ${leases} leases are revoked`);
      if (form === "long") promises.expect(doneMs <= 30_000, `cleaned up after ${doneMs} ms`);
      say(`answered after ${Math.round(ackMs)} ms, cleaned up after ${doneMs} ms`);
      return {
        figures: { leases, answered_ms: Math.round(ackMs), three_asked_ms: Math.round(sampleMs), cleaned_up_ms: doneMs, live },
        broken: promises.broken,
      };
    } finally {
      await store.close();
    }
  },
};

type List = (
  filter: { readonly workload: string },
  cursor: string | undefined,
  limit: number,
) => Promise<{ readonly items: readonly { readonly id: LeaseId }[]; readonly nextCursor: string | undefined }>;

async function idsOf(list: List, most: number): Promise<readonly LeaseId[]> {
  const ids = new Set<LeaseId>();
  let cursor: string | undefined;
  do {
    const page = await list({ workload: SUBJECT }, cursor, 200);
    for (const { id } of page.items) ids.add(id);
    cursor = page.nextCursor;
  } while (cursor !== undefined && ids.size <= most);
  return [...ids];
}
