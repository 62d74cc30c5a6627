import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { act, assert, awaited, command, narrate, show } from "../stage.ts";
import { shopJob } from "../shop.ts";
import type { Systems } from "../systems.ts";
import type { World } from "../world.ts";

/** What the thief has: everything that the agent was given. */
interface Stolen {
  readonly env: Readonly<Record<string, string>>;
  readonly key: string;
  readonly lease: string;
}

/** A task gets a database role and an SSH certificate, uses both, is killed, and both die. */
export async function realSystems(world: World, systems: Systems): Promise<void> {
  act(9, "A task works on real systems: a Postgres role, and an SSH certificate");
  systems.follow(world.url);
  await hostKnowsTheCa(systems);
  const agent = await startAgent(world, systems);
  const found = await agent.works();
  show(found.said);
  assert("it read the bookings with a role that was made for it", /lease_[0-9a-z]{26} reads 42/.test(found.said), found.said);
  assert("it logged in to a host with a certificate that was made for it", found.said.includes("the host says welcome"), found.said);
  const { task } = await world.lease(found.stolen.lease);
  command(`stint lease ls --task ${task}`);
  const listed = await world.operator(["lease", "ls", "--task", String(task)]);
  show(listed.out);
  assert("both are leases of one task", / bookings .*\n.* hosts | hosts .*\n.* bookings /.test(listed.out.replaceAll("\t", " ")), listed);

  act(10, "Its machine is lost, and a thief has copied what it held");
  const killed = performance.now();
  agent.kill();
  narrate("SIGKILL: no clean-up, no farewell. The thief tries at once:");
  const early = await psql(systems, found.stolen);
  show(early.out);
  assert(
    "a role that nobody has ended opens the database, for anybody who has its password",
    early.code === 0 && early.out.includes("42"),
    early,
  );
  narrate("Nobody calls. The heartbeat stays away, and the broker ends the task by itself:");
  const late = await awaited(
    () => psql(systems, found.stolen),
    ({ code }) => code !== 0,
    250,
    30_000,
  );
  command("psql   # with the stolen password");
  show(late.err);
  assert(
    `refused ${((performance.now() - killed) / 1000).toFixed(1)} s after the loss, of 10 minutes that it had asked for`,
    late.code !== 0,
    late,
  );
  const login = await awaited(
    () => ssh(systems, found.stolen),
    ({ code }) => code !== 0,
    250,
    15_000,
  );
  command("ssh -i stolen-key deploy@host");
  show(login.err);
  assert("sshd refuses the certificate: its serial is on the list of the revoked", login.code === 255, login);
  const left = await systems.postgres.sql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'lease\\_%'");
  assert("no role is left in the database", left.length === 0, left);
  const lease = await world.lease(found.stolen.lease);
  command(`stint lease inspect ${found.stolen.lease}`);
  show(`state: ${lease.state}   ended_by: ${lease.ended_by}`);
  assert("the lost heartbeat ended it", lease.state === "revoked" && lease.ended_by === "heartbeat", lease);
  command("PGUSER=stint psql   # with the password in the Target's file");
  const first = await systems.asBroker("SELECT 1");
  show(first.stderr);
  assert(
    "the broker has changed its own password at the database, so that no copy of the first one is of use",
    first.code !== 0 && first.stderr.includes("password authentication failed"),
    first,
  );
}

/** The host's own timer has brought the CA's key. */
async function hostKnowsTheCa(systems: Systems): Promise<void> {
  for (let wait = 0; wait < 80; wait++) {
    const known = await readFile(join(systems.sshd.folder, "ca.pub"), "utf8");
    if (known.includes("ssh-")) return;
    await pause(100);
  }
  assert("the host has fetched the CA's public key", false);
}

async function startAgent(world: World, systems: Systems) {
  const stolen = join(world.folder, "stolen");
  await mkdir(stolen, { recursive: true });
  const script = join(world.folder, "agent.mjs");
  await writeFile(script, agentScript({ stolen, psql: systems.postgres.programs.psql, ssh: systems.ssh.ssh, sshd: systems.sshd }));
  command("stint exec --for bookings --for hosts=ssh --heartbeat 5s -- node agent.mjs");
  const claims = shopJob(20, { repository: "acme/ledger", repository_id: "777888", sub: "repo:acme/ledger:ref:refs/heads/main" });
  const args = ["exec", "--for", "bookings", "--for", "hosts=ssh", "--heartbeat", "5s", "--", process.execPath, script];
  const child = world.begin(claims, args);
  return {
    kill: () => child.kill(),
    async works(): Promise<{ readonly said: string; readonly stolen: Stolen }> {
      for (let wait = 0; wait < 200; wait++) {
        const said = await readFile(join(stolen, "said"), "utf8").catch(() => "");
        if (said !== "") {
          const env = JSON.parse(await readFile(join(stolen, "env.json"), "utf8")) as Record<string, string>;
          await copyFile(join(stolen, "key"), join(stolen, "kept"));
          return { said, stolen: { env, key: join(stolen, "key"), lease: env["PGUSER"] ?? "" } };
        }
        if (child.ended()) break;
        await pause(100);
      }
      assert("the agent does its work", false, child.printed());
      throw new Error("unreachable");
    },
  };
}

/** What the agent does with its credentials: it uses both for real, and somebody copies them meanwhile. */
function agentScript({
  stolen,
  psql: psqlPath,
  ssh: sshPath,
  sshd,
}: {
  stolen: string;
  psql: string;
  ssh: string;
  sshd: Systems["sshd"];
}): string {
  return `import { execFileSync } from "node:child_process";
import { copyFileSync, writeFileSync } from "node:fs";
const { env } = process;
const sum = execFileSync(${JSON.stringify(psqlPath)}, ["-AtX", "-c", "SELECT current_user || ' reads ' || sum(amount) FROM booking"]).toString();
const key = Object.entries(env).find(([name]) => name.endsWith("_SSH_KEY"))[1];
const options = ["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "UserKnownHostsFile=${join(sshd.folder, "known_hosts")}"];
const said = execFileSync(${JSON.stringify(sshPath)}, [...options, "-i", key, "-p", "${sshd.port}", "${sshd.user}@${sshd.host}", "echo the host says welcome"]).toString();
copyFileSync(key, ${JSON.stringify(join(stolen, "key"))});
copyFileSync(key + "-cert.pub", ${JSON.stringify(join(stolen, "key-cert.pub"))});
const pg = Object.fromEntries(Object.entries(env).filter(([name]) => name.startsWith("PG")));
writeFileSync(${JSON.stringify(join(stolen, "env.json"))}, JSON.stringify(pg));
writeFileSync(${JSON.stringify(join(stolen, "said"))}, sum + said);
setInterval(() => undefined, 60_000);
`;
}

const psql = (systems: Systems, { env }: Stolen) =>
  systems.postgres
    .psql(
      { username: env["PGUSER"] ?? "", password: env["PGPASSWORD"] ?? "", database: env["PGDATABASE"] ?? "" },
      "SELECT sum(amount) FROM booking",
    )
    .then(({ code, stdout, stderr }) => ({ code, out: stdout, err: stderr }));

async function ssh(systems: Systems, { key }: Stolen) {
  const [privateKey, certificate] = await Promise.all([readFile(key, "utf8"), readFile(`${key}-cert.pub`, "utf8")]);
  return systems.sshd.login({ privateKey, certificate: certificate.trim() });
}
