import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { act, assert, awaited, command, narrate, show } from "../stage.ts";
import { shopJob } from "../shop.ts";
import { STALENESS, type World } from "../world.ts";

/** An API that asks about no token, in good weather and in bad. */
export async function byItself(world: World): Promise<void> {
  act(5, "An API that checks tokens by itself, and knows what was revoked");
  const { ship } = world;
  const call = async (token: string): Promise<{ status: number; text: string }> => {
    const answer = await fetch(`${ship.url}/orders`, { method: "POST", headers: { authorization: `Bearer ${token}` } });
    return { status: answer.status, text: await answer.text() };
  };
  await writeFile(
    join(world.folder, "ship.mjs"),
    `import { writeFileSync } from "node:fs";
const answer = await fetch("${ship.url}/orders", { method: "POST", headers: { authorization: "Bearer " + process.env.SHIP_TOKEN } });
writeFileSync("leaked-too.txt", process.env.SHIP_TOKEN);
process.exit(answer.ok ? 0 : 1);\n`,
  );
  command("stint exec --for ship-prod=SHIP_TOKEN -- node ship.mjs");
  const ran = await world.job(shopJob(8), ["exec", "--for", "ship-prod=SHIP_TOKEN", "--", process.execPath, "ship.mjs"]);
  assert("a job ships with its token, and ends", ran.code === 0, ran);
  const leaked = (await readFile(join(world.folder, "leaked-too.txt"), "utf8")).trim();
  const refused = await awaited(
    () => call(leaked),
    ({ status }) => status !== 200,
    50,
    2_000,
  );
  show(`${refused.status} ${refused.text}`);
  assert("the leaked token is refused as revoked", refused.status === 401 && refused.text.includes("revoked"), refused);
  assert("by an API that has asked the broker about no token", !ship.called.has("/oauth2/introspect"), Object.fromEntries(ship.called));
  const live = (await world.job(shopJob(9), ["request", "ship-prod"])).out.trim();
  await world.killBroker();
  narrate(`The broker is killed. The API may go on for ${STALENESS} with what it knows:`);
  const before = await call(live);
  assert("a live token is honoured, a revoked one is not", before.status === 200 && (await call(leaked)).status === 401, before);
  const stale = await awaited(
    () => call(live),
    ({ status }) => status !== 200,
    200,
    10_000,
  );
  show(`${stale.status} ${stale.text}`);
  assert("then it honours nothing, because it no longer knows", stale.status === 503 && stale.text.includes("stale"), stale);
  await world.startBroker();
  const again = await awaited(
    () => call(live),
    ({ status }) => status === 200,
    200,
    15_000,
  );
  assert("the broker is back, and the API recovers by itself", again.status === 200 && (await call(leaked)).status === 401, again);
  command("curl -d token=$SHIP_TOKEN $STINT_URL/oauth2/revoke");
  await fetch(`${world.url}/oauth2/revoke`, { method: "POST", body: new URLSearchParams({ token: live }) });
  const given = await awaited(
    () => call(live),
    ({ status }) => status !== 200,
    50,
    3_000,
  );
  assert("a token given back is refused there a moment later", given.status === 401, given);
}
