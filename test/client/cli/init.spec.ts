import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseOperators } from "../../../broker/operators.ts";
import { callCli, runCli } from "./run-cli.ts";

let folder = "";
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "stint-init-"))));
afterEach(() => rm(folder, { recursive: true, force: true }));

const PLATFORMS: readonly (readonly [string, readonly string[]])[] = [
  ["github", ["--repository-id", "456789"]],
  ["gitlab", ["--project-id", "77"]],
  ["buildkite", ["--organization", "acme", "--pipeline", "shop"]],
  ["circleci", ["--organization", "0f3a8a1e-1111-4222-8333-444455556666", "--project-id", "1f3a8a1e-1111-4222-8333-444455556666"]],
  ["kubernetes", ["--namespace", "payments", "--service-account", "worker", "--issuer", "https://k8s.acme.dev"]],
  ["generic", ["--issuer", "https://id.acme.dev", "--subject", "svc-1"]],
];

describe("stint init", () => {
  it.each(PLATFORMS)("writes a configuration for %s that passes its own tests and the linter", async (ci, args) => {
    const made = join(folder, "stint");
    const ran = await callCli(["init", "--ci", ci, ...args, "--folder", made]);
    expect([ran.code, ran.err]).toEqual([0, expect.stringContaining("Next:")]);
    const tested = await runCli(["policy", "test", made]);
    expect([tested.code, tested.out]).toEqual([0, expect.stringContaining("all passed")]);
    const linted = await runCli(["policy", "lint", made]);
    expect([linted.code, linted.out]).toEqual([0, "1 grant: 0 errors, 0 warnings.\n"]);
  });

  it("shows the operator's token and the verifier's key once, and stores only their hashes", async () => {
    const made = join(folder, "stint");
    const ran = await callCli(["init", "--ci", "github", "--repository-id", "1", "--folder", made]);
    const [token = "", key = ""] = [...ran.out.matchAll(/^\w+=(.+)$/gm)].map((found) => found[1] ?? "");
    expect([token, key]).toEqual([expect.stringMatching(/^stint_op_[\w-]{43}$/), expect.stringMatching(/^stint_vk_[\w-]{43}$/)]);
    const files = await readdir(made);
    const text = (await Promise.all(files.map((file) => readFile(join(made, file), "utf8")))).join("\n");
    expect(text).not.toContain(token);
    expect(text).not.toContain(key);
    expect(text).toContain(`sha256:${createHash("sha256").update(key).digest("hex")}`);
    const operators = join(made, "operators");
    expect((await stat(operators)).mode & 0o777).toBe(0o600);
    expect(parseOperators(await readFile(operators, "utf8"), operators)).toMatchObject({
      problems: [],
      entries: [{ name: "first-admin", role: "admin" }],
    });
  });

  it("overwrites nothing, and leaves nothing half-made", async () => {
    await writeFile(join(folder, "verifier-deploy-prod-api.yaml"), "mine");
    const ran = await callCli(["init", "--ci", "github", "--repository-id", "1", "--folder", folder]);
    expect([ran.code, ran.err]).toEqual([2, expect.stringContaining("exists already; nothing was written")]);
    expect(await readdir(folder)).toEqual(["verifier-deploy-prod-api.yaml"]);
  });

  it.each<readonly [string, readonly string[], string]>([
    ["no platform", [], "for which platform?"],
    ["a platform nobody knows", ["--ci", "jenkins"], "Allowed choices are github"],
    ["no repository", ["--ci", "github"], "github needs --repository-id"],
    ["a name for a number", ["--ci", "github", "--repository-id", "acme/shop"], "--repository-id is a number, not a name"],
    ["an issuer in the clear", ["--ci", "generic", "--issuer", "http://id.acme.dev", "--subject", "x"], "is not an https address"],
    [
      "what could break out of its place",
      ["--ci", "generic", "--issuer", "https://id.acme.dev", "--subject", 'x"\nkind: Grant'],
      "has characters that do not belong there",
    ],
    ["a grant that is no name", ["--ci", "github", "--repository-id", "1", "--grant", "../x"], "is not a name"],
  ])("refuses %s", async (_, args, message) => {
    const ran = await callCli(["init", ...args, "--folder", join(folder, "stint")]);
    expect([ran.code, ran.err]).toEqual([2, expect.stringContaining(message)]);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe("stint operator add and verifier add", () => {
  it("add a token that the broker knows by its hash, beside those that are there", async () => {
    const file = join(folder, "operators");
    await writeFile(file, "# people\nmara viewer sha256:" + "0".repeat(64));
    const ran = await callCli(["operator", "add", "ann", "--role", "responder", "--file", file]);
    const parsed = parseOperators(await readFile(file, "utf8"), file);
    expect([ran.code, parsed.problems, parsed.entries.map(({ name, role }) => `${name} ${role}`)]).toEqual([
      0,
      [],
      ["mara viewer", "ann responder"],
    ]);
    expect(parsed.entries[1]?.digest.toString("hex")).toBe(createHash("sha256").update(ran.out.trim()).digest("hex"));
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const again = await callCli(["operator", "add", "ann", "--role", "admin", "--file", file]);
    expect([again.code, again.err]).toEqual([2, expect.stringContaining("ann is already in")]);
    expect((await callCli(["operator", "add", "eve", "--role", "root", "--file", file])).code).toBe(2);
    expect((await callCli(["operator", "add", "eve admin", "--role", "viewer", "--file", file])).code).toBe(2);
  });

  it("hand the key to a file instead of the screen where that is asked", async () => {
    const ran = await callCli([
      "verifier",
      "add",
      "deploy-api",
      "--audience",
      "https://deploy.acme.dev",
      "--config",
      folder,
      "--out",
      join(folder, "key"),
    ]);
    expect([ran.code, ran.out]).toEqual([0, ""]);
    expect((await stat(join(folder, "key"))).mode & 0o777).toBe(0o600);
    const key = await readFile(join(folder, "key"), "utf8");
    expect(await readFile(join(folder, "verifier-deploy-api.yaml"), "utf8")).toContain(
      `key: sha256:${createHash("sha256").update(key).digest("hex")}`,
    );
    expect((await runCli(["policy", "check", folder])).code).toBe(0);
    expect((await callCli(["verifier", "add", "deploy-api", "--audience", "x", "--config", folder])).err).toContain("exists already");
    expect((await callCli(["verifier", "add", "deploy-api"])).code).toBe(2);
  });
});

describe("stint policy check, test and lint", () => {
  it("exit 9 and name the place of a mistake", async () => {
    const file = join(folder, "bad.yaml");
    await writeFile(file, "kind: Grant\nname: x\nallwo: []\n");
    for (const verb of ["check", "test", "lint"]) {
      const ran = await runCli(["policy", verb, folder]);
      expect([ran.code, ran.out]).toEqual([9, expect.stringContaining("bad.yaml:3")]);
    }
    expect(JSON.parse((await runCli(["policy", "check", folder, "--json"])).out)).toMatchObject({ ok: false });
  });
});
