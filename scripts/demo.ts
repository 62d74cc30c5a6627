import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { secondAct } from "./demo/second-act.ts";
import { act, assert, asserted, command, narrate, say, show, Untrue } from "./demo/stage.ts";
import { startSystems } from "./demo/systems.ts";
import { buildWorld, shopJob, STALENESS, type World } from "./demo/world.ts";

// The story of Stint on real parts. Every line with a tick is asserted; the first one that is not so ends it with exit code 1.

async function main(): Promise<number> {
  const started = performance.now();
  const all = process.argv.includes("--all");
  say(
    `Stint in ${all ? "ten" : "eight"} acts. All of it is real: a broker, a Redis, ${all ? "a Postgres, an sshd, " : ""}an API, an identity provider that signs.`,
  );
  await using systems = all ? await startSystems((text) => say(`   ${text}`)) : undefined;
  await using world = await buildWorld(systems);
  try {
    await pullRequest(world);
    const leaked = await ciJob(world);
    await leak(world, leaked);
    const alone = await leftAlone(world);
    await byItself(world);
    await swept(world, alone);
    await responder(world);
    await audit(world);
    if (systems !== undefined) await secondAct(world, systems);
  } catch (error) {
    if (!(error instanceof Untrue)) throw error;
    say(`   ✗ ${error.message}`);
    return 1;
  }
  say(
    `\nThat was it: ${asserted()} things asserted in ${((performance.now() - started) / 1000).toFixed(1)} s, and no credential is left alive.`,
  );
  if (process.argv.includes("--keep")) await keep(world);
  return 0;
}

async function pullRequest(world: World): Promise<void> {
  act(1, "A pull request asks for the production deploy token");
  command("stint request deploy-prod");
  const claims = shopJob(1, {
    environment: undefined,
    ref: "refs/pull/7/merge",
    event_name: "pull_request",
    sub: "repo:acme/shop:pull_request",
  });
  const ran = await world.job(claims, ["request", "deploy-prod"]);
  show(ran.err);
  assert("denied: exit code 3, and nothing on stdout", ran.code === 3 && ran.out === "", ran);
  assert(
    "its caller is told which of its own claims failed, and not what was wanted",
    /environment/.test(ran.err) && !/production/.test(ran.err),
    ran.err,
  );
  const denial = /den_[0-9a-z]{26}/.exec(ran.err)?.[0] ?? "";
  narrate("Whoever runs the policy may see all of it:");
  command(`stint policy explain ${denial}`);
  const explained = await world.operator(["policy", "explain", denial]);
  show(explained.out, 20);
  assert(
    "an operator sees the nearest rule and the smallest change that would pass",
    explained.code === 0 && /production/.test(explained.out),
    explained,
  );
}

async function ciJob(world: World): Promise<string> {
  act(2, "A CI job on main deploys, and ends");
  await writeFile(
    join(world.folder, "deploy.mjs"),
    `import { writeFileSync } from "node:fs";
const answer = await fetch("${world.api.url}/deploy/v42", { method: "POST", headers: { authorization: "Bearer " + process.env.DEPLOY_TOKEN } });
console.log(answer.status, await answer.text());
writeFileSync("leaked.txt", process.env.DEPLOY_TOKEN); // a careless line in a build log
process.exit(answer.ok ? 0 : 1);\n`,
  );
  command("stint exec --for deploy-prod=DEPLOY_TOKEN -- node deploy.mjs");
  const ran = await world.job(shopJob(2), ["exec", "--for", "deploy-prod=DEPLOY_TOKEN", "--", process.execPath, "deploy.mjs"]);
  show(ran.out + ran.err);
  assert("the job deployed v42 with a token made for this task", ran.code === 0 && world.api.deployed.at(-1)?.version === "v42", {
    ran,
    deployed: world.api.deployed,
  });
  assert("the job's end ended its task, with a receipt", /task_[0-9a-z]{26} ended \(exit\)/.test(ran.err), ran.err);
  return (await readFile(join(world.folder, "leaked.txt"), "utf8")).trim();
}

async function leak(world: World, token: string): Promise<void> {
  act(3, "Its token has leaked");
  const { exp } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as { exp: number };
  const minutes = Math.floor((exp * 1000 - Date.now()) / 60_000);
  command('curl -H "authorization: Bearer $(cat leaked.txt)" -X POST $API/deploy/evil');
  const answer = await fetch(`${world.api.url}/deploy/evil`, { method: "POST", headers: { authorization: `Bearer ${token}` } });
  show(`${answer.status} ${await answer.text()}`);
  assert(`refused with 401, although its exp is ${minutes} minutes away`, answer.status === 401 && minutes >= 8, {
    status: answer.status,
    minutes,
  });
  assert("nothing was deployed with it", world.api.deployed.length === 1, world.api.deployed);
}

async function leftAlone(world: World): Promise<string> {
  act(4, "Another task gets a credential for five seconds, and is left alone");
  command("stint request smoke-test --format json");
  const ran = await world.job(shopJob(3), ["request", "smoke-test", "--format", "json"]);
  const lease = /lease_[0-9a-z]{26}/.exec(ran.out)?.[0] ?? "";
  assert("it has a lease", ran.code === 0 && lease !== "", ran);
  const found = await inspect(world, lease);
  assert("the lease is active; nobody will release it", found.state === "active", found);
  return lease;
}

const inspect = async (world: World, lease: string): Promise<{ state?: string; ended_by?: string }> =>
  JSON.parse((await world.operator(["lease", "inspect", lease, "--json"])).out || "{}") as { state?: string; ended_by?: string };

async function byItself(world: World): Promise<void> {
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
  let refused = await call(leaked);
  for (let wait = 0; wait < 20 && refused.status === 200; wait++) {
    await pause(50);
    refused = await call(leaked);
  }
  show(`${refused.status} ${refused.text}`);
  assert("the leaked token is refused as revoked", refused.status === 401 && refused.text.includes("revoked"), refused);
  assert("by an API that has asked the broker about no token", !ship.called.has("/oauth2/introspect"), Object.fromEntries(ship.called));
  const live = (await world.job(shopJob(9), ["request", "ship-prod"])).out.trim();
  await world.killBroker();
  narrate(`The broker is killed. The API may go on for ${STALENESS} with what it knows:`);
  const before = await call(live);
  assert("a live token is honoured, a revoked one is not", before.status === 200 && (await call(leaked)).status === 401, before);
  let stale = before;
  for (let wait = 0; wait < 40 && stale.status === 200; wait++) {
    await pause(200);
    stale = await call(live);
  }
  show(`${stale.status} ${stale.text}`);
  assert("then it honours nothing, because it no longer knows", stale.status === 503 && stale.text.includes("stale"), stale);
  await world.startBroker();
  let again = stale;
  for (let wait = 0; wait < 60 && again.status !== 200; wait++) {
    await pause(200);
    again = await call(live);
  }
  assert("the broker is back, and the API recovers by itself", again.status === 200 && (await call(leaked)).status === 401, again);
  command("curl -d token=$SHIP_TOKEN $STINT_URL/oauth2/revoke");
  await fetch(`${world.url}/oauth2/revoke`, { method: "POST", body: new URLSearchParams({ token: live }) });
  let given = again;
  for (let wait = 0; wait < 40 && given.status === 200; wait++) {
    await pause(50);
    given = await call(live);
  }
  assert("a token given back is refused there a moment later", given.status === 401, given);
}

async function swept(world: World, lease: string): Promise<void> {
  act(6, "Meanwhile, the task that was left alone");
  let found = await inspect(world, lease);
  for (let wait = 0; wait < 40 && found.state !== "revoked"; wait++) {
    await pause(500);
    found = await inspect(world, lease);
  }
  command(`stint lease inspect ${lease}`);
  show(`state: ${found.state}   ended_by: ${found.ended_by}`);
  assert("the cron sweep has ended its lease at expiry", found.state === "revoked" && found.ended_by === "expiry", found);
}

async function responder(world: World): Promise<void> {
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

async function audit(world: World): Promise<void> {
  act(8, "All of it is on the audit trail");
  await pause(1500); // the exporter moves records to files once a second
  command("stint audit verify");
  const ran = await world.operator(["audit", "verify", world.auditDir]);
  show(ran.out + ran.err);
  assert("the chain is whole and its checkpoints are signed", ran.code === 0, ran);
  const copy = join(world.folder, "tampered");
  await cp(world.auditDir, copy, { recursive: true });
  await tamper(copy);
  narrate("Now with one word changed in a copy:");
  const caught = await world.operator(["audit", "verify", copy]);
  show(caught.out + caught.err, 6);
  assert("the change is found: exit code 9", caught.code === 9, caught);
}

/** Turns the first refusal on record into a success. */
async function tamper(folder: string): Promise<void> {
  for (const file of await readdir(folder, { recursive: true })) {
    const text = await readFile(join(folder, file), "utf8").catch(() => "");
    if (!text.includes('"decision":"deny"')) continue;
    await writeFile(join(folder, file), text.replace('"decision":"deny"', '"decision":"allow"'));
    return;
  }
  throw new Untrue("not so: a refusal is on the audit trail");
}

async function keep(world: World): Promise<void> {
  say("\nStill running; Ctrl-C ends it.");
  say(`   broker      ${world.url}`);
  say(`   metadata    ${world.url}/.well-known/oauth-authorization-server`);
  say(`   OpenAPI     ${world.url}/openapi.json`);
  say(`   deploy API  ${world.api.url} (asks the broker about each token)`);
  say(`   ship API    ${world.ship.url} (checks tokens by itself)`);
  say(`   identity    ${world.idp.issuer}`);
  say(`   admin       STINT_URL=${world.url} STINT_OPERATOR_TOKEN=${world.adminToken} npx stint lease ls`);
  const forever = setInterval(() => undefined, 60_000);
  await new Promise<void>((resolve) => {
    process.once("SIGINT", () => resolve());
    process.once("SIGTERM", () => resolve());
  });
  clearInterval(forever);
}

process.exitCode = await main();
