import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { eventually } from "../support/events.ts";
import { presetClaims } from "../support/idp-claims.ts";
import { startIdp } from "../support/idp.ts";
import { freePort } from "../support/redis.ts";
import { shopDocuments } from "../support/shop.ts";

const MAIN = join(import.meta.dirname, "../../broker/main.js");

interface Process {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly err: () => string;
  readonly exited: Promise<number | null>;
}

describe("the broker's process", () => {
  let folder: string;
  let url: string;
  const started: Process[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "stint-main-"));
    url = `http://127.0.0.1:${await freePort()}`;
    await mkdir(join(folder, "stint"));
    await writeFile(join(folder, "stint", "settings.yaml"), "kind: Settings\nname: settings\nlint: warn\n");
  });
  afterEach(async () => {
    for (const { child, exited } of started.splice(0)) {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      await exited;
    }
    await rm(folder, { recursive: true, force: true });
  });

  function run(env: Readonly<Record<string, string>> = {}): Process {
    const child = spawn(process.execPath, [MAIN], {
      cwd: folder,
      env: {
        PATH: process.env["PATH"],
        HOME: process.env["HOME"],
        STINT_URL: url,
        STINT_METRICS_LISTEN: "off",
        STINT_LOG_FORMAT: "json",
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let out = "";
    let err = "";
    child.stdout?.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.stderr?.on("data", (chunk: Buffer) => (err += chunk.toString()));
    const exited = once(child, "close").then(([code]) => code as number | null);
    const made = { child, out: () => out, err: () => err, exited };
    started.push(made);
    return made;
  }
  const ready = (): Promise<Response> =>
    eventually(
      "the broker is ready",
      async () => {
        const response = await fetch(`${url}/readyz`);
        return response.ok && response;
      },
      20_000,
    );

  it("starts with a Redis of its own, shows one admin token once, and stops cleanly when asked", async () => {
    const first = run();
    await ready();
    const token = /^admin token, shown this once: (\S+)$/m.exec(first.out())?.[1] ?? "";
    const whoami = await fetch(`${url}/v1/whoami`, { headers: { authorization: `Bearer ${token}` } });
    expect(await whoami.json()).toMatchObject({ kind: "operator", name: "admin", role: "admin" });
    await eventually("its log says how durable it is", () => first.err().includes("append-only file, fsync always")); // log lines come together
    expect(first.err()).not.toContain(token);
    for (const name of ["master-key", "operators"]) expect((await stat(join(folder, ".stint", name))).mode & 0o777).toBe(0o600);
    first.child.kill("SIGTERM");
    expect(await first.exited).toBe(0);

    const second = run();
    await ready();
    expect(second.out()).not.toContain("admin token");
    expect((await fetch(`${url}/v1/whoami`, { headers: { authorization: `Bearer ${token}` } })).status).toBe(200);
  });

  it("keeps every lease when it is killed in the middle of its work", async () => {
    await using idp = await startIdp();
    await writeFile(join(folder, "stint", "shop.yaml"), shopDocuments(idp, url).replace(/---\nkind: Settings[\s\S]*?(?=---)/, ""));
    const first = run();
    await ready();
    const evidence = await idp.token(
      presetClaims("github", { iss: idp.issuer, aud: url, repository_id: "456789", ref: "refs/heads/main" }),
    );
    const form = new URLSearchParams({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token: evidence,
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      scope: "grant:deploy",
    });
    const response = await fetch(`${url}/oauth2/token`, { method: "POST", body: form });
    const issued = (await response.json()) as { lease_id: string; access_token: string };
    expect(response.status).toBe(200);
    first.child.kill("SIGKILL");
    await first.exited;
    run();
    await ready();
    const lease = await fetch(`${url}/v1/leases/${issued.lease_id}`, { headers: { authorization: `Bearer ${issued.access_token}` } });
    expect(await lease.json()).toMatchObject({ id: issued.lease_id, state: "active" });
    const log = await readFile(join(folder, ".stint", "audit", "checkpoint"), "utf8");
    expect(log).toContain("/audit");
    expect(log).not.toContain(issued.access_token);
  });

  it("says all that is wrong with its environment at once, and ends with 78", async () => {
    const wrong = run({ STINT_URL: "ftp://x", STINT_REDIS_URL: "redis://127.0.0.1:1", STINT_SWEEP_CRON: "a b c d e" });
    expect(await wrong.exited).toBe(78);
    for (const variable of ["STINT_URL", "STINT_MASTER_KEY", "STINT_SWEEP_CRON"]) expect(wrong.err()).toContain(`${variable}: expected`);
  });

  it("ends with 78 for a configuration or operators that cannot come into force", async () => {
    await writeFile(join(folder, "stint", "bad.yaml"), "kind: Grnat\nname: x\n");
    const policy = run();
    expect(await policy.exited).toBe(78);
    expect(policy.err()).toContain("bad.yaml:1");
    await rm(join(folder, "stint", "bad.yaml"));
    await writeFile(join(folder, "people"), "ada root sha256:00\n");
    const operators = run({ STINT_OPERATOR_TOKENS_FILE: "people" });
    expect(await operators.exited).toBe(78);
    expect(operators.err()).toContain("people:1");
  });

  it("refuses a data directory or an address that another broker has", async () => {
    run();
    await ready();
    const same = run({ STINT_URL: `http://127.0.0.1:${await freePort()}` });
    expect(await same.exited).toBe(78);
    expect(same.err()).toContain("Another broker");
    const address = run({ STINT_DATA_DIR: "other" });
    expect(await address.exited).toBe(78);
    expect(address.err()).toContain("another program listens there");
  });

  it("keeps what is in force when a reload is wrong", async () => {
    const broker = run();
    await ready();
    await writeFile(join(folder, "stint", "bad.yaml"), "kind: Grnat\nname: x\n");
    broker.child.kill("SIGHUP");
    await eventually("the reload is refused", () => broker.err().includes("configuration refused; what was in force stays"));
    expect((await ready()).status).toBe(200);
  });

  describe("that is signalled while it starts", () => {
    const startingUp = async (env: Readonly<Record<string, string>> = {}) => {
      const broker = run(env);
      const found = (): string | undefined => /"socket":"([^"]+)".*"embedded Redis started"/.exec(broker.err())?.[1];
      const socket = await eventually("its Redis runs", found);
      return { broker, redisAnswers: () => answers(socket) };
    };

    it.each(["1", "2"])("stops once it has started, and its Redis with it (workers: %s)", async (workers) => {
      const { broker, redisAnswers } = await startingUp({ STINT_WORKERS: workers });
      expect(await redisAnswers()).toBe(true);
      broker.child.kill("SIGTERM");
      expect(await broker.exited).toBe(0);
      expect(broker.err()).toContain('"broker stopped"');
      expect(await redisAnswers()).toBe(false);
      expect(broker.out()).toContain("admin token, shown this once");
    });

    it("reads its configuration again at SIGHUP, and is not ended by SIGUSR2", async () => {
      const { broker } = await startingUp();
      broker.child.kill("SIGUSR2");
      broker.child.kill("SIGHUP");
      expect((await ready()).status).toBe(200);
      await eventually("it was reloaded", () => broker.err().includes("configuration reloaded"));
      expect(broker.err()).not.toContain("nothing to replace");
    });
  });
});

/** Whether somebody listens on a unix socket. */
async function answers(path: string): Promise<boolean> {
  const socket = connect(path);
  const heard = await Promise.race([once(socket, "connect").then(() => true), once(socket, "close").then(() => false)]).catch(() => false);
  socket.destroy();
  return heard;
}
