import { systemClock } from "../../../domain/time.ts";
import { newId, subjectBits } from "../../../domain/ids.ts";
import { openStore, type OpenedStore } from "../../../store/open.ts";
import { openOrder } from "../orders.ts";
import { startRedis } from "../redis.ts";
import { startTcpProxy } from "../tcp-proxy.ts";
import { Promises, type Fault } from "./fault.ts";

const FORMS = { short: 1_500, long: 60_000 } as const;
const EVERY = 20;
const LANES = 8;

/** Every twentieth time that Redis answers, the answer is swallowed and the connection cut: what was asked has happened, and nobody was told. */
export const lostReplies: Fault = {
  id: "F6",
  what: "every 20th reply of Redis lost, its connection cut",
  async run(form) {
    const promises = new Promises();
    await using redis = await startRedis();
    await using proxy = await startTcpProxy({ path: redis.socket ?? "" });
    const store = await openStore({ url: `redis://127.0.0.1:${proxy.port}` });
    try {
      const until = performance.now() + FORMS[form];
      const seen = { asked: 0, opened: 0, unavailable: 0, alarms: 0 };
      proxy.loseEvery(EVERY);
      const lane = async (number: number): Promise<void> => {
        while (performance.now() < until) {
          seen.asked += 1;
          // Evidence of its own: the same order asked again must not find it spent by itself.
          const order = openOrder(systemClock, `github:${number}`, { limits: { active: 1_000_000, perHour: undefined } });
          const reply = await store.leases.open(order).catch(() => undefined);
          if (reply === undefined) seen.unavailable += 1;
          else if (reply.outcome === "opened") seen.opened += 1;
          else seen.alarms += 1;
        }
      };
      await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)));
      proxy.loseEvery(0);
      const counts = await store.leases.counts();
      const live = await budgetOf(store);
      promises.expect(seen.alarms === 0, `${seen.alarms} were told that their own evidence was spent`);
      promises.expect(
        counts.opened >= seen.opened && counts.opened <= seen.opened + seen.unavailable,
        `${seen.opened} leases were acknowledged, ${seen.unavailable} left open, and ${counts.opened} are on record`,
      );
      promises.expect(
        live === (counts.byState["active"] ?? 0),
        `${counts.byState["active"]} leases are active and the budgets count ${live}`,
      );
      promises.expect(proxy.lost() > 0, "no reply was lost");
      return { figures: { ...seen, lost_replies: proxy.lost(), on_record: counts.opened }, broken: promises.broken };
    } finally {
      await store.close();
    }
  },
};

/** What the budgets of all subjects believe to be alive: told by a refusal. */
async function budgetOf(store: OpenedStore): Promise<number> {
  let live = 0;
  for (let number = 0; number < LANES; number += 1) {
    const subject = `github:${number}`;
    const order = openOrder(systemClock, subject, { limits: { active: 0, perHour: undefined } });
    const reply = await store.leases.open({ ...order, leaseId: newId("lease", systemClock() + 1, subjectBits(subject)) });
    if (reply.outcome !== "refused") throw new Error(`a budget of none let somebody through: ${reply.outcome}`);
    live += reply.live ?? 0;
  }
  return live;
}
