import { describe, expect, it } from "@jest/globals";
import { createLocalJWKSet, jwtVerify } from "jose";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeDevFiles } from "../../../client/cli/dev/files.ts";
import { devIdentity } from "../../../client/cli/dev/identity.ts";
import { systemClock } from "../../../domain/time.ts";
import { freePort } from "../../support/redis.ts";
import { callCli, runCli, startCli } from "./run-cli.ts";

describe("a broker to play with", () => {
  it("has a configuration that passes its tests and the linter, and keys that only their owner can read", async () => {
    const folder = await mkdtemp(join(tmpdir(), "stint-dev-"));
    try {
      const files = await writeDevFiles(folder, await devIdentity(systemClock));
      const again = await writeDevFiles(folder, await devIdentity(systemClock));
      expect(again).toEqual(files);
      expect(await runCli(["policy", "lint", files.config])).toMatchObject({ code: 0, out: "1 grant: 0 errors, 0 warnings.\n" });
      expect((await runCli(["policy", "test", files.config])).out).toContain("2 tests, all passed.");
      for (const file of [files.operators, files.operatorToken, files.verifierKey]) expect((await stat(file)).mode & 0o777).toBe(0o600);
      expect((await stat(folder)).mode & 0o777).toBe(0o700);
      const text = (await Promise.all((await readdir(files.config)).map((name) => readFile(join(files.config, name), "utf8")))).join();
      expect(text).not.toContain(await readFile(files.verifierKey, "utf8"));
      expect(text).not.toContain('"d":');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("believes evidence for five minutes, made for it alone", async () => {
    const now = 1_700_000_000_000;
    const identity = await devIdentity(() => now);
    const { payload } = await jwtVerify(await identity.token("http://127.0.0.1:8420"), createLocalJWKSet(identity.jwks), {
      audience: "http://127.0.0.1:8420",
      currentDate: new Date(now),
    });
    expect(payload).toMatchObject({ sub: "toy-job", branch: "main", exp: now / 1000 + 300 });
  });

  it("runs: its toy job gets a credential, an operator sees it, and an interrupt ends all of it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "stint-dev-"));
    const port = String(await freePort());
    const dev = startCli(["dev", "--folder", folder, "--port", port], { HOME: folder });
    try {
      await dev.says("Ctrl-C ends it.");
      const env = {
        STINT_URL: `http://127.0.0.1:${port}`,
        STINT_ID_TOKEN_FILE: join(folder, "id-token"),
        STINT_OPERATOR_TOKEN_FILE: join(folder, "operator-token"),
      };
      const ran = await runCli(["exec", "--for", "deploy-dev=TOKEN", "--", "sh", "-c", "echo ${#TOKEN}"], env);
      expect([ran.code, Number(ran.out) > 300, ran.err]).toEqual([0, true, expect.stringContaining("1 credential dead")]);
      const task = /task_\w{26}/.exec(ran.err)?.[0] ?? "";
      const record = async (): Promise<string> => (await callCli(["audit", "query", "--action", "task.ended", "--field", "task"], env)).out;
      while (!(await record()).includes(task)) await new Promise((resolve) => setTimeout(resolve, 100));
      expect((await runCli(["audit", "verify", join(folder, "data", "audit")], env)).code).toBe(0);
    } finally {
      dev.kill("SIGINT");
      const ended = await dev.done;
      await rm(folder, { recursive: true, force: true });
      expect(ended.code).toBe(0);
    }
  });
});
