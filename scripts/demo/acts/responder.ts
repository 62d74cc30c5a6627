import { act, assert, command, show } from "../stage.ts";
import { shopJob } from "../shop.ts";
import type { World } from "../world.ts";

/** Everything of one workload dies at once, and it gets nothing new. */
export async function responder(world: World): Promise<void> {
  act(7, "A security responder revokes a workload, and locks it out");
  const tokens: string[] = [];
  for (const run of [4, 5, 6]) tokens.push((await world.job(shopJob(run), ["request", "deploy-prod"])).out.trim());
  const tried = async (): Promise<number[]> =>
    Promise.all(
      tokens.map(
        async (token) =>
          (await fetch(`${world.api.url}/deploy/v43`, { method: "POST", headers: { authorization: `Bearer ${token}` } })).status,
      ),
    );
  const before = await tried();
  assert(
    "three jobs of github/acme/shop hold live deploy tokens",
    before.every((status) => status === 200),
    before,
  );
  command('stint revoke --workload github/acme/shop --lock 24h --reason "INC-412 leaked runner log" --confirm 3');
  const ran = await world.operator([
    "revoke",
    "--workload",
    "github/acme/shop",
    "--lock",
    "24h",
    "--reason",
    "INC-412 leaked runner log",
    "--confirm",
    "3",
  ]);
  show(ran.out + ran.err, 20);
  assert(
    "the revocation is in force and its receipt names three leases",
    (ran.code === 0 || ran.code === 10) && /3/.test(ran.out + ran.err) && /rev_[0-9a-z]{26}/.test(ran.out + ran.err),
    ran,
  );
  const after = await tried();
  assert(
    "all three tokens are refused at once",
    after.every((status) => status === 401),
    after,
  );
  command("stint request deploy-prod");
  const again = await world.job(shopJob(7), ["request", "deploy-prod"]);
  show(again.err, 4);
  assert("the workload gets nothing new while it is locked: exit code 5", again.code === 5, again);
}
