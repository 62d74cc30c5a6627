import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ChildProcess } from "node:child_process";
import { startBroker } from "../broker.ts";
import { startBrokerProcess } from "../broker-process.ts";
import { fakeClock } from "../clock.ts";
import { post, type Heard } from "../crash/http-wire.ts";
import { startPostgresWire, type PostgresWire } from "../crash/postgres-wire.ts";
import { eventually } from "../events.ts";
import { presetClaims } from "../idp-claims.ts";
import { startIdp, type TestIdp } from "../idp.ts";
import { die } from "../kill-storm.ts";
import { ORDERS_DB, ordersDb, rolesAt } from "../postgres-shop.ts";
import { startPostgresTarget, type PostgresTarget } from "../postgres-target.ts";
import { freePort, startRedis } from "../redis.ts";
import { shopDocuments } from "../shop.ts";
import { Promises, type Fault } from "./fault.ts";

interface Scene {
  readonly idp: TestIdp;
  readonly target: PostgresTarget;
  readonly wire: PostgresWire;
}

/** A broker that sleeps between what it wrote down and what it makes: its statement arrives when others have ended the lease. */
export const lateCreate: Fault = {
  id: "F3",
  what: "a broker is stopped (SIGSTOP) between opening a lease and the CREATE ROLE, and wakes when others have ended the lease",
  async run(form, say) {
    const rounds = form === "short" ? 3 : 50;
    const promises = new Promises();
    await using idp = await startIdp();
    await using target = await startPostgresTarget({}, { settings: { log_statement: "none" } });
    await using wire = await startPostgresWire(target.server.port);
    let refused = 0;
    for (let round = 1; round <= rounds; round += 1) {
      if (await oneRound({ idp, target, wire }, promises)) refused += 1;
      if (round % 10 === 0) say(`${refused} of ${round} refused`);
    }
    promises.expect(refused === rounds, `${rounds - refused} of ${rounds} late statements were not refused`);
    return { figures: { rounds, refused }, broken: promises.broken };
  },
};

async function oneRound({ idp, target, wire }: Scene, promises: Promises): Promise<boolean> {
  await using redis = await startRedis();
  const folder = await mkdtemp(join(tmpdir(), "stint-late-"));
  const url = `http://127.0.0.1:${await freePort()}`;
  const documents = shopDocuments(idp, url) + ordersDb(target, `127.0.0.1:${wire.port}`);
  await writeFile(join(folder, "policy.yaml"), documents);
  const masterKey = randomBytes(32);
  const variables = ORDERS_DB.variables ?? {};
  const options = {
    redisUrl: redis.url,
    url,
    policyPath: folder,
    masterKey: masterKey.toString("base64"),
    target: "",
    variables,
    operators: "",
  };
  const sleeper = await startBrokerProcess(options);
  try {
    const clock = fakeClock(Date.now());
    await using other = await startBroker({ clock, redis, url, port: await freePort(), masterKey, variables, documents });
    const held = wire.hold('CREATE ROLE "lease_', "statement");
    const asked = ask(url, idp);
    await held.reached;
    await stopped(sleeper);
    clock.advance({ seconds: 61 }); // the lease's half minute is over, by everybody's clock
    for (let more = true; more;) {
      more = (await other.sweep()).claimed > 0;
      await other.settled();
    }
    const { byState } = await other.store.leases.counts();
    promises.expect(byState["revoked"] === 1, `the lease is not ended while its broker sleeps: ${JSON.stringify(byState)}`);
    held.deliver();
    await eventually("the late statement was answered", async () => (await idle(target)) === 0);
    const late = await rolesAt(target);
    sleeper.kill("SIGCONT");
    const heard = await asked;
    promises.expect(heard.status !== 201, "whoever asked was given a credential of a lease that had ended");
    return late.length === 0 && (await rolesAt(target)).length === 0;
  } finally {
    sleeper.kill("SIGCONT");
    await die(sleeper);
    await rm(folder, { recursive: true, force: true });
  }
}

async function ask(url: string, idp: TestIdp): Promise<Heard> {
  const claims = { iss: idp.issuer, aud: url, repository_id: "456789", ref: "refs/heads/main", run_id: randomBytes(4).toString("hex") };
  const opened = await post(`${url}/v1/tasks`, {}, { authorization: `Bearer ${await idp.token(presetClaims("github", claims))}` });
  if (opened.status === "broken") return opened;
  const bearer = { authorization: `Bearer ${String(opened.body["task_token"])}` };
  return post(`${url}/v1/tasks/${String(opened.body["task"])}/credentials`, { grant: "database" }, bearer);
}

/** Not only told to: the kernel says that it is. */
async function stopped(child: ChildProcess): Promise<void> {
  child.kill("SIGSTOP");
  const told = (): Promise<string> => readFile(`/proc/${child.pid ?? 0}/stat`, "utf8");
  await eventually("the broker is stopped", async () => / T /.test(await told()));
}

/** How many statements of ours Postgres is busy with. */
async function idle({ server }: PostgresTarget): Promise<number> {
  const rows = await server.sql("SELECT 1 FROM pg_stat_activity WHERE application_name = 'stint' AND state <> 'idle'");
  return rows.length;
}
