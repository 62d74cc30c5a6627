import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../domain/time.ts";
import { recordingServer } from "../recording-server.ts";
import { EVIDENCE, LEASE, SECRET, TASK, credential, toyBroker } from "../toy-broker.ts";
import type { RecordingServer } from "../recording-server.ts";
import { CLI, runCli, startCli, startProgram } from "./run-cli.ts";

let folder = "";
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "stint-exec-"))));
afterAll(() => rm(folder, { recursive: true, force: true }));

const env = (broker: RecordingServer, more: Record<string, string> = {}) => ({ STINT_URL: broker.url, STINT_ID_TOKEN: EVIDENCE, ...more });
const node = (script: string): string[] => ["--", process.execPath, "-e", script];
const completed = (broker: RecordingServer): unknown[] =>
  broker.received.filter(({ path }) => path.endsWith("/complete")).map(({ body }) => JSON.parse(body));

describe("the exit code of exec", () => {
  it.each([0, 1, 7, 125, 255])("is the command's own: %d", async (code) => {
    await using broker = await toyBroker();
    const ran = await runCli(["exec", "--for", "deploy-prod", ...node(`process.exit(${code})`)], env(broker));
    expect([ran.code, ran.signal]).toEqual([code, null]);
    expect(completed(broker)).toEqual([{ outcome: code === 0 ? "success" : "failure", by: "exit" }]);
  });

  it("is 128+n when a signal ended the command", async () => {
    await using broker = await toyBroker();
    const ran = await runCli(["exec", "--for", "deploy-prod", ...node("process.kill(process.pid, 'SIGKILL')")], env(broker));
    expect(ran.code).toBe(137);
    expect(completed(broker)).toEqual([{ outcome: "cancelled", by: "exit" }]);
  });

  it("is 127 for a command that is not there, and 126 for one that cannot be executed", async () => {
    await using broker = await toyBroker();
    const file = join(folder, "not-executable");
    await writeFile(file, "text", { mode: 0o644 });
    const missing = await runCli(["exec", "--for", "deploy-prod", "--", "/nowhere/tool"], env(broker));
    const locked = await runCli(["exec", "--for", "deploy-prod", "--", file], env(broker));
    expect([missing.code, locked.code]).toEqual([127, 126]);
    expect(missing.err).toContain("/nowhere/tool: not found");
    expect(completed(broker)).toHaveLength(2);
  });

  it("is 125 when the credential was denied; the command never ran and what was issued before dies", async () => {
    await using broker = await toyBroker(({ path, body }) =>
      path.endsWith("/credentials") && body.includes("registry")
        ? {
            status: 403,
            body: {
              code: "claim_mismatch",
              detail: "no",
              denial_id: "den_1",
              failed_claims: ["environment"],
              yours: { environment: null },
            },
          }
        : undefined,
    );
    const ran = await runCli(["exec", "--for", "deploy-prod", "--for", "registry", ...node("console.log('ran')")], env(broker));
    expect([ran.code, ran.out]).toEqual([125, ""]);
    expect(ran.err).toContain("✗ denied: registry (claim_mismatch)");
    expect(ran.err).toContain("yours environment=(absent)");
    expect(ran.err).toContain("Quote den_1 to the owner.");
    expect(completed(broker)).toEqual([{ outcome: "cancelled", by: "exit" }]);
  });

  it("is 125 when there is no identity, and 2 when nothing can be understood", async () => {
    await using broker = await toyBroker();
    expect((await runCli(["exec", "--for", "deploy-prod", ...node("0")], { STINT_URL: broker.url })).code).toBe(125);
    expect((await runCli(["exec", ...node("0")], env(broker))).code).toBe(2);
    expect((await runCli(["exec", "--for", "Deploy", ...node("0")], env(broker))).code).toBe(2);
    expect((await runCli(["exec", "--for", "a=1X", ...node("0")], env(broker))).code).toBe(2);
    expect((await runCli(["exec", "--for", "a=X", "--for", "b=X", ...node("0")], env(broker))).code).toBe(2);
    expect((await runCli(["exec", "--for", "a", "--ttl", "soon", ...node("0")], env(broker))).code).toBe(2);
    expect(broker.received).toHaveLength(0);
  });
});

describe("the command's environment", () => {
  const printed = "console.log(JSON.stringify(process.env))";

  it("has the credentials under the names that were asked for, and not in its arguments", async () => {
    await using broker = await toyBroker();
    const ran = await runCli(
      [
        "exec",
        "--no-mask",
        "--for",
        "deploy-prod=DEPLOY",
        "--for",
        "deploy-prod",
        ...node(`console.log(process.env.DEPLOY, process.env.DEPLOY_PROD_TOKEN, process.execArgv.join(), process.argv.join())`),
      ],
      env(broker),
    );
    expect(ran.out.split(" ").slice(0, 2)).toEqual([SECRET, SECRET]);
    expect(ran.out.split(SECRET)).toHaveLength(3);
  });

  it("has none of our own variables, nor those that could get other credentials, unless it is said", async () => {
    await using broker = await toyBroker();
    const parent = env(broker, {
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "x",
      AWS_SECRET_ACCESS_KEY: "x",
      GOOGLE_APPLICATION_CREDENTIALS: "x",
      VAULT_TOKEN: "x",
      STINT_OPERATOR_TOKEN: "x",
      KEEP: "kept",
      AWS_REGION: "eu-west-1",
    });
    const clean = JSON.parse((await runCli(["exec", "--for", "deploy-prod", ...node(printed)], parent)).out) as Record<string, string>;
    expect(Object.keys(clean).filter((name) => /^(STINT_|ACTIONS_|GOOGLE_|VAULT_|AWS_SECRET)/.test(name))).toEqual([]);
    expect([clean["KEEP"], clean["AWS_REGION"]]).toEqual(["kept", "eu-west-1"]);
    const kept = JSON.parse((await runCli(["exec", "--keep-env", "--for", "deploy-prod", ...node(printed)], parent)).out) as Record<
      string,
      string
    >;
    expect(kept).toMatchObject({ STINT_ID_TOKEN: EVIDENCE, AWS_SECRET_ACCESS_KEY: "x" });
  });
});

describe("what the command prints", () => {
  it("is masked in a pipe, on both streams and across writes", async () => {
    await using broker = await toyBroker();
    const script = `const t = process.env.T; console.log("token " + t); process.stdout.write(t.slice(0, 9)); setTimeout(() => { process.stdout.write(t.slice(9) + "\\n"); console.error("err " + t); }, 50)`;
    const ran = await runCli(["exec", "--for", "deploy-prod=T", ...node(script)], env(broker));
    expect(ran.out).toBe("token ********\n********\n");
    expect(ran.err).toContain("err ********");
    expect(ran.err + ran.out).not.toContain(SECRET);
  });

  it("comes whole, also when it is much and the command ends at once", async () => {
    await using broker = await toyBroker();
    const ran = await runCli(["exec", "--for", "deploy-prod=T", "--", "sh", "-c", "seq 1 60000"], env(broker));
    expect(ran.out.trimEnd().split("\n")).toHaveLength(60_000);
  });

  it("does not keep exec waiting for a grandchild that holds the pipe", async () => {
    await using broker = await toyBroker();
    const ran = await runCli(["exec", "--for", "deploy-prod=T", "--", "sh", "-c", "sleep 30 & echo started"], env(broker));
    expect([ran.code, ran.out]).toEqual([0, "started\n"]);
  }, 15_000);

  it("is cut short by a reader that goes away, and the task is completed all the same", async () => {
    await using broker = await toyBroker();
    const ran = await startProgram(
      "sh",
      ["-c", `"${process.execPath}" "${CLI}" exec --for deploy-prod -- sh -c 'yes 2>/dev/null' | head -1`],
      env(broker),
    ).done;
    expect(ran.out).toBe("y\n");
    expect(completed(broker)).toHaveLength(1);
  });
});

describe("signals to exec", () => {
  const sleeper = node(
    "process.on('SIGTERM', () => { console.log('term'); process.exit(9) }); process.on('SIGHUP', () => { console.log('hup'); process.exit(8) }); console.log('ready'); setInterval(() => {}, 1000)",
  );

  it.each([
    ["SIGTERM", 9, "term"],
    ["SIGHUP", 8, "hup"],
  ] as const)("%s goes on to the command, whose exit code counts", async (signal, code, said) => {
    await using broker = await toyBroker();
    const running = startCli(["exec", "--for", "deploy-prod", ...sleeper], env(broker));
    await running.says("ready");
    running.kill(signal);
    const ran = await running.done;
    expect([ran.code, ran.out]).toEqual([code, `ready\n${said}\n`]);
    expect(completed(broker)).toHaveLength(1);
  });

  it("SIGINT from elsewhere than the keyboard goes on to the command, too", async () => {
    await using broker = await toyBroker();
    const running = startCli(
      [
        "exec",
        "--for",
        "deploy-prod",
        ...node("process.on('SIGINT', () => process.exit(3)); console.log('ready'); setInterval(() => {}, 1000)"),
      ],
      env(broker),
    );
    await running.says("ready");
    running.kill("SIGINT");
    expect((await running.done).code).toBe(3);
  });

  it("Ctrl-C on a terminal reaches the command once, not twice", async () => {
    await using broker = await toyBroker();
    const script =
      "let n = 0; process.on('SIGINT', () => { n += 1; setTimeout(() => { console.log('interrupts ' + n); process.exit(0) }, 300) }); console.log('ready'); setInterval(() => {}, 1000)";
    const typed = `( sleep 2; printf '\\003'; sleep 2 ) | script -qec "'${process.execPath}' '${CLI}' exec --for deploy-prod -- '${process.execPath}' -e \\"${script}\\"" /dev/null`;
    const ran = await startProgram("sh", ["-c", typed], env(broker, { TERM: "xterm" })).done;
    expect(ran.out).toContain("interrupts 1");
    expect(ran.out).not.toContain("interrupts 2");
    expect(completed(broker)).toHaveLength(1);
  });

  it("while a credential is awaited stop exec with 128+n, and nothing is started", async () => {
    await using broker = await toyBroker(({ path }) => (path.endsWith("/credentials") ? { hang: true } : undefined));
    const running = startCli(["exec", "--for", "deploy-prod", ...node("console.log('ran')")], env(broker));
    await waitFor(() => broker.received.some(({ path }) => path.endsWith("/credentials")));
    running.kill("SIGTERM");
    const ran = await running.done;
    expect([ran.code, ran.out]).toEqual([143, ""]);
    expect(completed(broker)).toEqual([{ outcome: "cancelled", by: "exit" }]);
  });

  it("after the command has ended: an interrupt skips completing", async () => {
    await using broker = await toyBroker(({ path }) => (path.endsWith("/complete") ? { hang: true } : undefined));
    const running = startCli(["exec", "--for", "deploy-prod", ...node("0")], env(broker));
    await waitFor(() => broker.received.some(({ path }) => path.endsWith("/complete")));
    const before = systemClock();
    running.kill("SIGINT");
    const ran = await running.done;
    expect(ran.code).toBe(0);
    expect(systemClock() - before).toBeLessThan(1500);
    expect(ran.err).toContain(`${TASK} was not completed (skipped)`);
  });
});

describe("the end of exec", () => {
  it("leaves a broker that does not answer after two seconds, and says until when the credential lives", async () => {
    await using broker = await toyBroker(({ path }) => (path.endsWith("/complete") ? { hang: true } : undefined));
    const before = systemClock();
    const ran = await runCli(["exec", "--for", "deploy-prod", ...node("process.exit(4)")], env(broker));
    expect(ran.code).toBe(4);
    expect(systemClock() - before).toBeLessThan(5000);
    expect(ran.err).toContain("did not answer in time");
    expect(ran.err).toContain("live until 2099-01-01");
  });

  it("prints one line of receipt and writes all of it where it was asked to", async () => {
    await using broker = await toyBroker();
    const report = join(folder, "receipt.json");
    const ran = await runCli(["exec", "--report", report, "--for", "deploy-prod", ...node("0")], env(broker));
    expect(ran.err.trim()).toBe(`✓ ${TASK} ended (exit): 1 credential dead in 41ms`);
    expect(JSON.parse(await readFile(report, "utf8"))).toMatchObject({ schema: "receipt/v1", task: TASK, settled: true });
    expect((await stat(report)).mode & 0o777).toBe(0o600);
  });

  it("with --keep-task ends only its own credentials", async () => {
    await using broker = await toyBroker();
    const ran = await runCli(["exec", "--keep-task", "--for", "deploy-prod", ...node("0")], env(broker));
    expect(ran.code).toBe(0);
    expect(broker.received.at(-1)?.path).toBe(`/v1/leases/${LEASE}/release`);
    expect(completed(broker)).toEqual([]);
  });

  it("heartbeats three times for every window while the command runs, and names the command as the purpose", async () => {
    await using broker = await toyBroker();
    await runCli(["exec", "--heartbeat", "3s", "--for", "deploy-prod", ...node("setTimeout(() => {}, 2600)")], env(broker));
    expect(broker.received.filter(({ path }) => path.endsWith("/heartbeat"))).toHaveLength(2);
    expect(JSON.parse(broker.received[0]?.body ?? "")).toEqual({ purpose: "exec node", heartbeat: "3s" });
  });

  it("says at once when an operator ended the task under it", async () => {
    await using broker = await toyBroker(({ path }) =>
      path.endsWith("/heartbeat") ? { status: 409, body: { code: "task_ended", detail: "the task has ended" } } : undefined,
    );
    const ran = await runCli(["exec", "--heartbeat", "1s", "--for", "deploy-prod", ...node("setTimeout(() => {}, 900)")], env(broker));
    expect(ran.err).toContain("the task was ended by the broker; its credentials are dead");
  });
});

describe("GitHub Actions", () => {
  it("gets evidence from the runner, and the command gets no way to ask for more", async () => {
    await using broker = await toyBroker();
    await using runner = await recordingServer(() => ({ body: { value: EVIDENCE } }));
    const platform = {
      GITHUB_ACTIONS: "true",
      ACTIONS_ID_TOKEN_REQUEST_URL: `${runner.url}/t?v=1`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "runner",
    };
    const ran = await runCli(["exec", "--for", "deploy-prod", ...node("console.log(process.env.ACTIONS_ID_TOKEN_REQUEST_URL)")], {
      STINT_URL: broker.url,
      ...platform,
    });
    expect(ran.out).toBe("undefined\n");
    expect(runner.received[0]?.path).toBe(`/t?v=1&audience=${encodeURIComponent(broker.url)}`);
    expect(broker.received[0]?.headers.authorization).toBe(`Bearer ${EVIDENCE}`);
  });
});

async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe("a credential that is not one token", () => {
  it("reaches the command as JSON", async () => {
    await using broker = await toyBroker(({ path }) =>
      path.endsWith("/credentials")
        ? { status: 201, body: { ...credential(), credential: { type: "postgres", username: "u", password: "p-0123456789" } } }
        : undefined,
    );
    const ran = await runCli(
      ["exec", "--no-mask", "--for", "deploy-prod=DB", ...node("console.log(JSON.parse(process.env.DB).username)")],
      env(broker),
    );
    expect(ran.out).toBe("u\n");
  });
});
