import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../domain/time.ts";
import { MATERIALS } from "../deliver/answers.ts";
import { sshPair } from "../deliver/ssh-pair.ts";
import { toyPostgres } from "../deliver/toy-postgres.ts";
import type { RecordingServer } from "../recording-server.ts";
import { EVIDENCE, SECRET, TASK, credential, toyBroker } from "../toy-broker.ts";
import { gitServer } from "./git-server.ts";
import { runCli, startCli } from "./run-cli.ts";

let folder = "";
/** Where exec puts its own folders. */
let runtime = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "stint-shapes-"));
  runtime = await mkdtemp(join(folder, "run-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A broker that gives each grant its own kind of credential, and remembers what was asked. */
const brokerOf = (kinds: Readonly<Record<string, object>>): Promise<RecordingServer> =>
  toyBroker(({ path, body }) => {
    if (!path.endsWith("/credentials")) return undefined;
    const { grant } = JSON.parse(body) as { readonly grant: string };
    return { status: 201, body: { ...credential(), grant, credential: kinds[grant] ?? { type: "jwt", token: SECRET } } };
  });
const env = (broker: RecordingServer, more: Record<string, string> = {}) => ({
  STINT_URL: broker.url,
  STINT_ID_TOKEN: EVIDENCE,
  XDG_RUNTIME_DIR: runtime,
  HOME: folder,
  ...more,
});
const sh = (script: string): string[] => ["--", "sh", "-c", script];
const asked = (broker: RecordingServer): unknown[] =>
  broker.received.filter(({ path }) => path.endsWith("/credentials")).map(({ body }) => JSON.parse(body));
const completed = (broker: RecordingServer): boolean => broker.received.some(({ path }) => path === `/v1/tasks/${TASK}/complete`);

describe("a command with several credentials", () => {
  it("has each in the shape its tools read, one lease each, and leaves no file behind", async () => {
    await using server = await toyPostgres();
    const postgres = { ...MATERIALS.postgres, port: server.port };
    await using broker = await brokerOf({ orders: postgres, release: MATERIALS.github, mq: MATERIALS.rabbit });
    const script = [
      `psql --no-psqlrc -c 'select 1' 2>/dev/null; env -u PGPASSFILE psql --no-psqlrc 'service=orders' -c 'select 1' 2>/dev/null`,
      `stat -c '%a %n' "$PGPASSFILE" "$PGSERVICEFILE" "$TOKEN_FILE" "$(dirname "$PGPASSFILE")"`,
      `cat "$TOKEN_FILE"; echo " $GH_TOKEN $MQ_USERNAME"`,
    ].join("; ");
    const wanted = ["--for", "orders=pgpass", "--for", "orders=pgservice", "--for", "release", "--for", "mq"];
    const ran = await runCli(["exec", "--no-mask", ...wanted, "--file", "TOKEN_FILE=deploy-prod", ...sh(script)], env(broker));
    expect(ran.code).toBe(0);
    const login = { user: postgres.username, database: "shop", password: postgres.password };
    expect(server.logins).toEqual([login, login]);
    expect(ran.out.match(/^\d+/gm)).toEqual(["600", "600", "600", "700"]);
    expect(ran.out).toContain(`${SECRET} ${MATERIALS.github.token} u-17`);
    expect(asked(broker)).toHaveLength(4);
    expect(await readdir(runtime)).toEqual([]);
  });

  it("is not started when two need one variable for different things, or a kind does not fit; all of it dies", async () => {
    await using broker = await brokerOf({ one: MATERIALS.postgres, two: { ...MATERIALS.postgres, host: "db2.example.com" } });
    const both = await runCli(["exec", "--for", "one", "--for", "two", ...sh("echo ran")], env(broker));
    expect([both.code, both.out]).toEqual([125, ""]);
    expect(both.err).toContain("two credentials for one variable, PGHOST");
    const unfit = await runCli(["exec", "--for", "one=netrc:db.example.com", ...sh("echo ran")], env(broker));
    expect([unfit.code, unfit.out]).toEqual([125, ""]);
    expect(unfit.err).toContain("a credential of kind postgres is no user name and password for the web");
    expect(completed(broker)).toBe(true);
    expect(await readdir(runtime)).toEqual([]);
  });

  it("has both databases in files, where neither is meant unasked", async () => {
    await using broker = await brokerOf({ one: MATERIALS.postgres, two: { ...MATERIALS.postgres, host: "db2.example.com" } });
    const ran = await runCli(
      [
        "exec",
        "--no-mask",
        "--for",
        "one=pgservice",
        "--for",
        "two=pgservice",
        ...sh('grep -c "^host=" "$PGSERVICEFILE"; echo "[$PGSERVICE]"'),
      ],
      env(broker),
    );
    expect(ran.out).toBe("2\n[]\n");
  });

  it("is understood before anything is sent", async () => {
    await using broker = await brokerOf({});
    for (const [wrong, why] of [
      [["--for", "a=pgpass:host"], "the shape pgpass takes no host"],
      [["--file", "T=a:nonsense"], '"nonsense" is no format'],
      [["--file", "1T=a"], "is not the name of a variable"],
      [["--for", "a", "--option", "b:x=1"], "for which of the grants?"],
      [["--for", "a", "--for", "b", "--option", "x=1"], "for which of the grants?"],
      [["--for", "a", "--generate-key", "b"], "no credential of that grant is asked for"],
      [[], "which credentials?"],
    ] as const) {
      const ran = await runCli(["exec", ...wrong, ...sh("echo ran")], env(broker));
      expect([ran.code, ran.out]).toEqual([2, ""]);
      expect(ran.err).toContain(why);
    }
    expect(broker.received).toHaveLength(0);
  });
});

describe("an SSH certificate for a command", () => {
  it("is in an agent of its own, for as long as it lives, and the agent ends with the command", async () => {
    await using broker = await brokerOf({ hosts: sshPair(folder).material });
    const ran = await runCli(
      ["exec", "--for", "hosts", ...sh('ssh-add -l; ls "$(dirname "$SSH_AUTH_SOCK")"; echo "$SSH_AUTH_SOCK"')],
      env(broker),
    );
    expect(ran.out).toMatch(/ED25519-CERT/);
    expect(ran.out).toMatch(/^agent$/m);
    expect(ran.code).toBe(0);
    const socket = ran.out.trim().split("\n").at(-1) ?? "";
    expect(socket.startsWith(runtime)).toBe(true);
    expect(existsSync(socket)).toBe(false);
    expect(await readdir(runtime)).toEqual([]);
  });

  it("is two files that ssh reads together, where files were asked for", async () => {
    const { material } = sshPair(folder);
    await using broker = await brokerOf({ hosts: material });
    const ran = await runCli(
      [
        "exec",
        "--for",
        "hosts=ssh",
        ...sh('ssh-keygen -L -f "$HOSTS_SSH_KEY-cert.pub" | grep Principals -A1; ssh-keygen -y -f "$HOSTS_SSH_KEY"; cat "$HOSTS_SSH_KEY"'),
      ],
      env(broker),
    );
    expect(ran.out).toContain("deploy");
    expect(ran.out).toContain("ssh-ed25519 ");
    expect(ran.out).not.toContain(material.private_key?.split("\n")[1]);
    expect(ran.out).toContain("********");
  });

  it("is of a key that was made here when that was said: its private half went to nobody", async () => {
    const { certified } = sshPair(folder);
    await using broker = await toyBroker(({ path, body }) => {
      if (!path.endsWith("/credentials")) return undefined;
      const { options } = JSON.parse(body) as { readonly options: { readonly public_key: string } };
      return { status: 201, body: { ...credential(), grant: "hosts", credential: certified(options.public_key) } };
    });
    const ran = await runCli(["exec", "--for", "hosts", "--generate-key", "hosts", ...sh("ssh-add -l")], env(broker));
    expect(ran.out).toMatch(/ED25519-CERT/);
    expect(JSON.stringify(asked(broker))).toMatch(/"public_key":"ssh-ed25519 AAAA\S+ stint-hosts"/);
    expect(JSON.stringify(broker.received)).not.toContain("PRIVATE KEY");
    expect(await readdir(runtime)).toEqual([]);
  });
});

describe("a GitHub token for a command", () => {
  it("lets the real git in, by its own host only, and is kept by no helper of the user's", async () => {
    await using server = await gitServer(folder, { username: "x-access-token", password: MATERIALS.github.token });
    await using broker = await brokerOf({ source: { ...MATERIALS.github, api_url: `https://${server.host}/api/v3` } });
    const kept = join(folder, "kept");
    await writeFile(join(folder, ".gitconfig"), `[credential]\n\thelper = "!f() { cat >> ${kept}; }; f"\n`);
    const target = join(folder, "clone");
    const ran = await runCli(
      ["exec", "--for", "source=git", "--", "git", "clone", "--quiet", `https://${server.host}/repo.git`, target],
      env(broker, {
        GIT_SSL_NO_VERIFY: "1",
        GIT_TERMINAL_PROMPT: "0",
        GIT_CONFIG_COUNT: "1",
        GIT_CONFIG_KEY_0: "a.b",
        GIT_CONFIG_VALUE_0: "c",
      }),
    );
    expect([ran.code, ran.err.includes("fatal")]).toEqual([0, false]);
    expect(await readFile(join(target, "file"), "utf8")).toBe("content\n");
    expect(existsSync(kept)).toBe(false);
    expect(await readdir(runtime)).toEqual([]);
  });
});

describe("a token in a file", () => {
  const soon = (ms: number): string => new Date(systemClock() + ms).toISOString();
  const cat = sh('cat "$T"; echo; sleep 1.5; cat "$T"; echo');

  it("is replaced before it ends: by the same lease with a later end, and masked, too", async () => {
    const tokens = ["first-token-of-the-lease", "second-token-of-the-lease"];
    await using broker = await toyBroker(({ path }) => {
      if (path.endsWith("/credentials")) return { status: 201, body: { ...credential(tokens[0]), expires_at: soon(1200) } };
      return path.endsWith("/renew") ? { body: credential(tokens[1]) } : undefined;
    });
    const open = await runCli(["exec", "--no-mask", "--file", "T=deploy-prod", ...cat], env(broker));
    expect(open.out).toBe(`${tokens.join("\n")}\n`);
    const masked = await runCli(["exec", "--file", "T=deploy-prod", ...cat], env(broker));
    expect(masked.out).toBe("********\n********\n");
    expect(await readdir(runtime)).toEqual([]);
  });

  it("is another lease's where its own has no later end, and what cannot be had is said", async () => {
    let asks = 0;
    await using broker = await toyBroker(({ path }) => {
      if (path.endsWith("/renew")) return { status: 403, body: { code: "not_renewable", detail: "it is at its longest" } };
      if (!path.endsWith("/credentials")) return undefined;
      asks += 1;
      if (asks === 3) return { status: 403, body: { code: "limit_rate", detail: "too many in this hour" } };
      return { status: 201, body: { ...credential(`token-number-${asks}`), expires_at: soon(asks === 2 ? 600 : 1200) } };
    });
    const ran = await runCli(
      ["exec", "--no-mask", "--for", "cloud=aws", ...sh('sleep 1.1; cat "$AWS_WEB_IDENTITY_TOKEN_FILE"; sleep 0.6')],
      env(broker),
    );
    expect([ran.code, ran.out]).toEqual([0, "token-number-2"]);
    expect(ran.err).toContain("! stint: no later cloud (too many in this hour): it ends at");
  });

  it("is not written where the answer says: its name is what was asked for", async () => {
    await using broker = await toyBroker(({ path }) =>
      path.endsWith("/credentials")
        ? { status: 201, body: { ...credential(), grant: "../../../../../../tmp/stint-elsewhere" } }
        : undefined,
    );
    const ran = await runCli(["exec", "--no-mask", "--file", "T=deploy-prod", ...sh('echo "$T"')], env(broker));
    expect(ran.out.trim()).toMatch(/\/stint-\w{6}\/deploy-prod\.token$/);
  });
});

describe("files of a command", () => {
  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("are gone after %s, too", async (signal) => {
    await using broker = await brokerOf({ orders: MATERIALS.postgres });
    const running = startCli(["exec", "--for", "orders=pgpass", ...sh("echo ready; exec sleep 30")], env(broker));
    await running.says("ready");
    expect(await readdir(runtime)).toHaveLength(1);
    running.kill(signal);
    expect((await running.done).code).toBeGreaterThan(128);
    expect(await readdir(runtime)).toEqual([]);
  });

  it("for docker hold the login of the registry that was named", async () => {
    await using broker = await brokerOf({});
    const ran = await runCli(["exec", "--for", "images=docker:registry.acme.dev", ...sh('cat "$DOCKER_CONFIG/config.json"')], env(broker));
    expect(ran.out).toBe('{"auths":{"registry.acme.dev":{"auth":"********"}}}\n');
  });

  it("for AWS hold the token that its SDKs exchange", async () => {
    await using broker = await brokerOf({});
    const ran = await runCli(["exec", "--no-mask", "--for", "cloud=aws", ...sh('cat "$AWS_WEB_IDENTITY_TOKEN_FILE"')], env(broker));
    expect(ran.out).toBe(SECRET);
  });
});
