import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { act, assert, command, narrate, show } from "../stage.ts";
import { shopJob } from "../shop.ts";
import type { World } from "../world.ts";

/** A job that may not have what it asks for is told why, as far as that is its business. */
export async function pullRequest(world: World): Promise<void> {
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

/** A job that may deploys, and its end is the end of its token. Returns the token. */
export async function ciJob(world: World): Promise<string> {
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

/** What a thief can do with it then. */
export async function leak(world: World, token: string): Promise<void> {
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
