import type { LeaseId } from "../../../domain/ids.ts";
import type { TestBroker } from "../broker.ts";
import { fakeClock, type FakeClock } from "../clock.ts";
import { ORDERS_DB, ordersDb, rolesAt } from "../postgres-shop.ts";
import { startPostgresTarget, type PostgresTarget } from "../postgres-target.ts";
import { openShop, type Shop } from "../shop.ts";
import { fileKind, testTarget, type TestTarget } from "../test-issuers.ts";
import { issuerKinds } from "../../../issuers/catalog.ts";
import { DATABASE } from "../shop.ts";
import { dueRoles } from "./due-roles.ts";
import { Promises, type Fault } from "./fault.ts";

const HOUR_MS = 3_600_000;

interface Scene {
  readonly clock: FakeClock;
  readonly shop: Shop;
  readonly target: PostgresTarget;
  readonly place: TestTarget;
}

/** A Postgres that is away for an hour of the broker's time while thousands of its leases are due, beside targets that are well. */
export const absentTarget: Fault = {
  id: "F13",
  what: "Postgres is away for an hour (driven time) while its leases are due; others are well",
  async run(form, say) {
    const due = form === "short" ? 500 : 5_000;
    const promises = new Promises();
    const clock = fakeClock(Date.now());
    await using target = await startPostgresTarget({}, { settings: { log_statement: "none" } });
    await using place = await testTarget();
    const cache = `\n---\nkind: Target\nname: cache\nowner: team-platform\nissuer: file\nfile: "x"\n${DATABASE.replaceAll("database", "cached").replace("issuer: test", "target: cache")}`;
    const kinds = [...issuerKinds.values(), fileKind(place.issuer)];
    await using shop = await openShop({ clock, kinds, ...ORDERS_DB, more: ordersDb(target) + cache });
    const scene = { clock, shop, target, place };
    const leases = await dueRoles(scene, due);
    say(`${due} roles made`);
    clock.advance({ ms: 601_000 });
    await target.server.kill9();
    await anHour(scene, promises);
    const waiting = (await shop.broker.store.leases.counts()).byState;
    promises.expect((waiting["revoking"] ?? 0) === due, `of ${due} leases ${JSON.stringify(waiting)} wait: some are stuck or lost`);
    say("Postgres is back");
    await target.server.restart();
    let seconds = 0;
    for (; seconds < 60 && (await left(shop.broker)) > 0; seconds += 1) await pass(scene, 1_000);
    const tries = await attempts(shop.broker, leases);
    promises.expect(
      (await rolesAt(target)).length === 0,
      `${(await rolesAt(target)).length} roles are still there a minute after Postgres is back`,
    );
    promises.expect((await left(shop.broker)) === 0, `${await left(shop.broker)} leases are not settled a minute after Postgres is back`);
    promises.expect(tries <= 20, `a lease was tried ${tries} times`);
    const counts = await shop.broker.store.leases.counts();
    const sum = Object.values(counts.byState).reduce((total, count) => total + count, 0);
    promises.expect(sum === counts.opened, `${counts.opened} leases were opened, ${sum} are in a state`);
    return { figures: { due, goneAfterSeconds: seconds, mostTries: tries }, broken: promises.broken };
  },
};

/** Nobody notices but those who want that Postgres: tokens and another target's leases end as ever. */
async function anHour(scene: Scene, promises: Promises): Promise<void> {
  const { clock, shop, place } = scene;
  const until = clock() + HOUR_MS;
  while (clock() < until) {
    const others = [await shop.exchange({ ttlMs: 30_000 }), await shop.exchange({ grant: "cached", ttlMs: 30_000 })];
    await pass(scene, 60_000);
    for (const { lease } of others) {
      const { state } = (await shop.broker.store.leases.get(lease.id)) ?? {};
      promises.expect(state === "revoked", `a lease of ${lease.issuer} was due and is ${state} while Postgres is away`);
    }
    promises.expect((await place.alive()).length === 0, "something is left at the target that is well");
  }
}

async function pass({ clock, shop: { broker } }: Scene, ms: number): Promise<void> {
  clock.advance({ ms });
  await broker.duties.runOnce();
  for (let more = true; more;) {
    const swept = await broker.sweep();
    await broker.settled();
    more = swept.more || swept.claimed > 0;
  }
}

async function left({ store }: TestBroker): Promise<number> {
  const { byState } = await store.leases.counts();
  return (byState["revoking"] ?? 0) + (byState["stuck"] ?? 0) + (byState["active"] ?? 0);
}

async function attempts({ store }: TestBroker, leases: readonly LeaseId[]): Promise<number> {
  let most = 0;
  for (const id of leases) most = Math.max(most, (await store.leases.get(id))?.attempts ?? 0);
  return most;
}
