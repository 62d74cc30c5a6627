import { act, assert, awaited, command, show } from "../stage.ts";
import { shopJob } from "../shop.ts";
import type { World } from "../world.ts";

/** A lease that nobody will release. Returns its id. */
export async function leftAlone(world: World): Promise<string> {
  act(4, "Another task gets a credential for five seconds, and is left alone");
  command("stint request smoke-test --format json");
  const ran = await world.job(shopJob(3), ["request", "smoke-test", "--format", "json"]);
  const lease = /lease_[0-9a-z]{26}/.exec(ran.out)?.[0] ?? "";
  assert("it has a lease", ran.code === 0 && lease !== "", ran);
  const found = await world.lease(lease);
  command(`stint lease inspect ${lease}`);
  show(`state: ${found.state}   expires_at: ${found.expires_at}`);
  assert("the lease is active; nobody will release it", found.state === "active", found);
  return lease;
}

/** What became of it. */
export async function swept(world: World, lease: string): Promise<void> {
  act(6, "Meanwhile, the task that was left alone");
  const found = await awaited(
    () => world.lease(lease),
    ({ state }) => state === "revoked",
    500,
    30_000,
  );
  command(`stint lease inspect ${lease}`);
  show(`state: ${found.state}   ended_by: ${found.ended_by}`);
  assert("the cron sweep has ended its lease at expiry", found.state === "revoked" && found.ended_by === "expiry", found);
}
