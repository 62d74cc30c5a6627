import { newId, subjectBits, type LeaseId } from "../../../domain/ids.ts";
import { markOf } from "../../../issuers/postgres/names.ts";
import { fakeClock, type FakeClock } from "../clock.ts";
import { openOrder } from "../orders.ts";
import { askForRole, ORDERS_DB, ordersDb, rolesAt } from "../postgres-shop.ts";
import { startPostgresTarget, type PostgresTarget } from "../postgres-target.ts";
import { openShop, type Shop } from "../shop.ts";
import { Promises, type Fault } from "./fault.ts";
import { setTimeout as pause } from "node:timers/promises";

const AT_ONCE = 50;
/** The store's whole patience with 10,000 at once, and with fewer in proportion, but never less than a machine that is busy needs. */
const GOAL_MS = 30_000;

interface Scene {
  readonly clock: FakeClock;
  readonly shop: Shop;
  readonly target: PostgresTarget;
}

/** Ten thousand roles fall due in the same instant; the sweeper comes once a second, and jobs go on asking. */
export const rolesDueAtOnce: Fault = {
  id: "F17",
  what: "10,000 Postgres roles are due in the same instant, while jobs go on asking for more",
  async run(form, say) {
    const due = form === "short" ? 1_500 : 10_000;
    const promises = new Promises();
    const clock = fakeClock(Date.now());
    await using target = await startPostgresTarget({}, { settings: { log_statement: "none" } });
    await using shop = await openShop({ clock, ...ORDERS_DB, more: ordersDb(target) });
    const calm = await asking({ clock, shop, target }, async () => void (await pause(2_000)));
    const leases = await dueRoles({ clock, shop, target }, due);
    say(`${due} roles made`);
    clock.advance({ ms: 601_000 });
    const [began, from] = [performance.now(), clock()];
    let most = 0;
    const meanwhile = await asking({ clock, shop, target }, async () => {
      for (let more = true; more;) {
        clock.set(from + performance.now() - began);
        await shop.broker.sweep();
        await pause(1_000);
        const [row] = await target.server.sql("SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'stint'");
        most = Math.max(most, Number(row?.["n"]));
        more = ((await shop.broker.store.leases.counts()).byState["revoking"] ?? 0) > 0 && performance.now() - began < 4 * GOAL_MS;
      }
    });
    const ms = performance.now() - began;
    const alive = new Set(await rolesAt(target));
    const left = leases.filter((lease) => alive.has(lease)).length;
    promises.expect(left === 0, `${left} of ${due} roles are still there`);
    promises.expect(most <= 8, `Postgres was held by ${most} connections`);
    promises.expect(meanwhile.asked > 0, "nobody was given a credential meanwhile");
    if (form === "long") promises.expect(ms <= GOAL_MS, `it took ${Math.round(ms / 1000)} s`);
    const figures = { due, ms: Math.round(ms), connections: most, asked: meanwhile.asked, p99CalmMs: calm.p99, p99Ms: meanwhile.p99 };
    return { figures, broken: promises.broken };
  },
};

/** One job after the other asks, as long as the work goes on. */
async function asking({ shop }: Scene, work: () => Promise<void>): Promise<{ readonly asked: number; readonly p99: number }> {
  const took: number[] = [];
  let over = false;
  const jobs = (async () => {
    while (!over) {
      const began = performance.now();
      await askForRole(shop, shop.broker);
      took.push(performance.now() - began);
    }
  })();
  await work();
  over = true;
  await jobs;
  return { asked: took.length, p99: Math.round(took.toSorted((one, other) => one - other)[Math.floor(took.length * 0.99)] ?? 0) };
}

/** Leases with their roles, without asking for each of them one by one. */
export async function dueRoles({ clock, shop, target }: Scene, count: number): Promise<readonly LeaseId[]> {
  const { store } = shop.broker;
  const leases: LeaseId[] = [];
  for (let made = 0; made < count; made += AT_ONCE) {
    const batch = await Promise.all(
      Array.from({ length: Math.min(AT_ONCE, count - made) }, async (_, at) => {
        const subject = `github:${made + at}`;
        const leaseId = newId("lease", clock(), subjectBits(subject));
        await store.leases.open(openOrder(clock, subject, { leaseId, issuer: "orders-db", state: "pending", revocation: "immediate" }));
        await store.leases.activate(leaseId, { handle: undefined, externalName: leaseId });
        return leaseId;
      }),
    );
    leases.push(...batch);
  }
  for (let from = 0; from < leases.length; from += 500) {
    const names = leases.slice(from, from + 500).map((lease) => `'${lease}'`);
    await target.server.sql(
      `DO $$ DECLARE r text; BEGIN FOREACH r IN ARRAY ARRAY[${names.join(",")}] LOOP
         EXECUTE format('CREATE ROLE %I LOGIN IN ROLE app_read', r);
         EXECUTE format('COMMENT ON ROLE %I IS %L', r, '${markOf(shop.broker.url)}' || r); END LOOP; END $$`,
    );
  }
  return leases;
}
