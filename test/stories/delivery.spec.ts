import { afterAll, beforeAll, expect, it } from "@jest/globals";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startCli, runCli, type Ran } from "../client/cli/run-cli.ts";
import { withSsh } from "../issuers/ssh/support.ts";
import { BROKER_PASSWORD, startPostgresTarget, type PostgresTarget } from "../support/postgres-target.ts";
import { openShop, type Shop } from "../support/shop.ts";
import { startSshd, type Sshd } from "../support/sshd.ts";

const targets = (database: PostgresTarget, password: string, sshd: Pick<Sshd, "host" | "port" | "user" | "knownHost">): string => `
---
kind: Target
name: orders-db
owner: team-data
issuer: postgres
address: 127.0.0.1:${database.server.port}
database: app
user: stint
password: file:${password}
roles: [app_read]
---
kind: Grant
name: orders
owner: team-data
allow:
  - { trust: github, claims: { repository_id: "456789" } }
issue: { target: orders-db, role: app_read, ttl: 10m }
---
kind: Target
name: web
owner: team-platform
issuer: ssh
list_read_every: 30s
host: ${sshd.host}
port: ${sshd.port}
user: ${sshd.user}
known_hosts: ["${sshd.knownHost}"]
---
kind: Grant
name: hosts
owner: team-platform
allow:
  - { trust: github, claims: { repository_id: "456789" } }
issue: { target: web, principals: [deploy], ttl: 10m }
`;

withSsh("a command run by stint exec, with a real database and a real host", (programs) => {
  let folder = "";
  let database: PostgresTarget;
  let sshd: Sshd;
  let shop: Shop;
  let runs = 0;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "stint-story-"));
    const password = join(folder, "password");
    await writeFile(password, BROKER_PASSWORD);
    database = await startPostgresTarget();
    // sshd is told the broker's authority once there is one
    sshd = await startSshd(programs, { ca: "" });
    shop = await openShop({ more: targets(database, password, sshd) });
    await sshd.put("ca.pub", await (await fetch(`${shop.broker.url}/targets/web/ca.pub`)).text());
  }, 120_000);
  afterAll(async () => {
    await shop?.[Symbol.asyncDispose]();
    await sshd?.[Symbol.asyncDispose]();
    await database?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  const env = async (): Promise<Record<string, string>> => ({
    STINT_URL: shop.broker.url,
    STINT_ID_TOKEN: (await shop.evidence({ run_id: `8${(runs += 1)}`, run_attempt: "1", check_run_id: `6${runs}` })).reveal(),
    XDG_RUNTIME_DIR: folder,
    HOME: folder,
  });
  const exec = async (wanted: readonly string[], script: string): Promise<Ran> =>
    await runCli(["exec", ...wanted, "--", "sh", "-c", script], await env());
  const left = async (): Promise<readonly string[]> => (await readdir(folder)).filter((name) => name.startsWith("stint-"));

  it("reads the one and logs into the other, both by files and by agent; afterwards the role is gone", async () => {
    const psql = "psql --no-psqlrc --tuples-only --no-align -c 'select current_user'";
    const ssh = `ssh -F "$HOSTS_SSH_CONFIG" -o BatchMode=yes -o LogLevel=ERROR hosts echo inside`;
    const agent = `ssh -F none -o BatchMode=yes -o LogLevel=ERROR -o UserKnownHostsFile="$HOSTS_SSH_KEY-known_hosts" -p ${sshd.port} ${sshd.user}@127.0.0.1 echo by agent`;
    const ran = await exec(
      ["--for", "orders=pgservice", "--for", "orders=pgpass", "--for", "hosts=ssh", "--for", "hosts=ssh-agent"],
      `${psql}; ${ssh}; ${agent}`,
    );
    expect([ran.code, ran.err]).toEqual([0, expect.stringContaining("ended (exit)")]);
    const [role = "", ...greetings] = ran.out.trim().split("\n");
    expect([role, greetings]).toEqual([expect.stringMatching(/^lease_\w{26}$/), ["inside", "by agent"]]);
    expect(await database.server.sql(`select count(*) from pg_roles where rolname = '${role}'`)).toEqual([{ count: "0" }]);
    expect(await left()).toEqual([]);
  }, 60_000);

  it("logs in with a key that was made here, and is ended with its sessions when the command is told to stop", async () => {
    const running = startCli(
      [
        "exec",
        "--for",
        "orders",
        "--for",
        "hosts",
        "--generate-key",
        "hosts",
        "--",
        "sh",
        "-c",
        "ssh-add -l; psql --no-psqlrc -Atc 'select current_user'; exec sleep 30",
      ],
      await env(),
    );
    await running.says("lease_");
    running.kill("SIGTERM");
    const ran = await running.done;
    expect(ran.code).toBe(143);
    expect(ran.out).toContain("ED25519-CERT");
    const role = /^lease_\w{26}$/m.exec(ran.out)?.[0] ?? "none";
    expect(await database.server.sql(`select count(*) from pg_roles where rolname = '${role}'`)).toEqual([{ count: "0" }]);
    expect(await left()).toEqual([]);
  }, 60_000);

  it("may ask for the database with one trip more than for a token, and no helper of ours is in its way", async () => {
    const ran = await runCli(["request", "orders", "--format", "json"], await env());
    expect([ran.code, JSON.parse(ran.out)]).toEqual([
      0,
      expect.objectContaining({
        issuer: "orders-db",
        revocation: "immediate",
        credential: expect.objectContaining({ type: "postgres", database: "app", password: expect.any(String) }),
        task_token: expect.any(String),
      }),
    ]);
    expect(ran.err).toMatch(/orders · postgres · .* · immediate · dead by/);
  });
});
