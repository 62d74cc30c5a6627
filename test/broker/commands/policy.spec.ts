import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { policyCommand } from "../../../broker/commands/policy.ts";
import { NOW } from "../policy/support.ts";

const URL_OF_BROKER = "https://stint.acme.dev";
const DOCUMENTS = `kind: Trust
name: github
owner: team
oidc: { issuer: https://token.actions.githubusercontent.com, preset: github }
---
kind: Grant
name: deploy
owner: team
allow: [{ trust: github, claims: { repository_id: "1", environment: production, event_name: push } }]
issue: { issuer: jwt, audience: https://deploy.acme.dev, scope: [deploy:write] }
tests:
  - { name: main deploys, given: { trust: github, claims: { repository_id: "1", environment: production, event_name: push } }, expect: allow }
  - { name: staging does not, given: { trust: github, claims: { repository_id: "1", environment: staging, event_name: push } }, expect: deny claim_mismatch }
`;

describe("policy commands", () => {
  let folder: string;
  let file: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "stint-policy-"));
    file = join(folder, "policy.yaml");
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const run = (...args: string[]): ReturnType<typeof policyCommand> => policyCommand(args, URL_OF_BROKER, () => NOW);

  it("say that all is well, and how the tests went", async () => {
    await writeFile(file, DOCUMENTS);
    expect(await run("check", folder)).toEqual({ code: 0, text: "1 grant: 0 errors, 0 warnings." });
    expect(await run("lint", folder)).toEqual({ code: 0, text: "1 grant: 0 errors, 0 warnings." });
    expect(await run("test", folder)).toEqual({
      code: 0,
      text: "ok    deploy: main deploys\nok    deploy: staging does not\n2 tests, all passed.",
    });
  });

  it("end with 9 when a test fails, and say what would have to change", async () => {
    await writeFile(file, DOCUMENTS.replace("environment: production, event_name: push } }]", "environment: live, event_name: push } }]"));
    const { code, text } = await run("test", folder);
    expect(code).toBe(9);
    expect(text).toContain(`FAIL  deploy: main deploys: expected allow, got deny claim_mismatch (${file}:12)`);
    expect(text).toContain('environment: "production" must be "live"');
    expect(text).toContain("2 tests, 1 failed.");
    expect((await run("check", folder)).code).toBe(0);
  });

  it("end with 9 when the documents do not load, naming every mistake and its place", async () => {
    await writeFile(
      file,
      DOCUMENTS.replace("issuer: jwt", "issuer: jwtt").replace('repository_id: "1", environment', "repository: acme/shop, environment"),
    );
    for (const verb of ["check", "lint", "test"]) {
      const { code, text } = await run(verb, folder);
      expect(code).toBe(9);
      expect(text).toContain(`${file}:10:18: error: deploy.issue.issuer: there is no issuer "jwtt"\n    did you mean "jwt"?`);
      expect(text).toContain("error [mutable-name-only]: deploy.allow[0].claims.repository:");
      expect(text).toContain("The documents do not load: 2 errors");
    }
  });

  it("answer in JSON where that is asked for", async () => {
    await writeFile(file, DOCUMENTS);
    const { text } = await run("test", folder, "--json");
    expect(JSON.parse(text)).toMatchObject({
      ok: true,
      version: expect.stringMatching(/^sha256:/),
      problems: [],
      tests: [{ name: "main deploys", passed: true }, { passed: true }],
    });
  });

  it("refuse what they do not know", async () => {
    expect(await run("tset", folder)).toMatchObject({ code: 2 });
  });

  it("keep control characters of documents off the terminal", async () => {
    await writeFile(file, DOCUMENTS.replace("name: main deploys", 'name: "a\\u001b[31mb"'));
    expect((await run("test", folder)).text).toContain("ok    deploy: a?[31mb");
  });

  it("run as a program", async () => {
    await writeFile(file, DOCUMENTS);
    const program = join(import.meta.dirname, "../../../broker/commands/policy.js");
    const { stdout } = await promisify(execFile)(process.execPath, [program, "check", folder], { env: { STINT_URL: URL_OF_BROKER } });
    expect(stdout).toBe("1 grant: 0 errors, 0 warnings.\n");
  });
});
