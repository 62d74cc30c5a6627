import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { autoIdentity } from "../../client/identity.ts";
import { recordingServer } from "./recording-server.ts";
import { EVIDENCE } from "./toy-broker.ts";

const AUDIENCE = "https://stint.acme.dev";
let folder = "";
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "stint-identity-"))));
afterAll(() => rm(folder, { recursive: true, force: true }));

const find = (env: Record<string, string>) => autoIdentity({ env, audience: AUDIENCE });
const refusal = async (env: Record<string, string>) => {
  const error: unknown = await find(env)
    .token()
    .then(
      () => undefined,
      (reason: unknown) => reason,
    );
  return error instanceof Error
    ? { message: error.message, ...("hint" in error ? { hint: error.hint } : {}), ...("code" in error ? { code: error.code } : {}) }
    : undefined;
};

describe("evidence that was named", () => {
  it("is read from its file each time, because platforms rotate it", async () => {
    const file = join(folder, "token");
    const identity = find({ STINT_ID_TOKEN_FILE: file, STINT_ID_TOKEN: "not.this.one", GITHUB_ACTIONS: "true" });
    await writeFile(file, `${EVIDENCE}\n`);
    expect([identity.source, await identity.token()]).toEqual(["STINT_ID_TOKEN_FILE", EVIDENCE]);
    await writeFile(file, `${EVIDENCE}2`);
    expect(await identity.token()).toBe(`${EVIDENCE}2`);
  });

  it("may stand in a variable", async () => expect(await find({ STINT_ID_TOKEN: EVIDENCE }).token()).toBe(EVIDENCE));

  it("is missed by the file's name when the file is not there", async () => {
    expect(await refusal({ STINT_ID_TOKEN_FILE: "/nowhere/token" })).toMatchObject({
      code: "no_identity",
      message: "STINT_ID_TOKEN_FILE: /nowhere/token cannot be read (ENOENT)",
    });
  });

  it("is refused when the file is empty or holds something else", async () => {
    const file = join(folder, "other");
    await writeFile(file, "");
    expect(await refusal({ STINT_ID_TOKEN_FILE: file })).toMatchObject({ message: "STINT_ID_TOKEN_FILE is empty" });
    await writeFile(file, "-----BEGIN PRIVATE KEY-----");
    expect(await refusal({ STINT_ID_TOKEN_FILE: file })).toMatchObject({ message: "STINT_ID_TOKEN_FILE does not hold a token" });
  });
});

describe("on GitHub Actions", () => {
  it("a fresh token for our audience is asked of the runner each time", async () => {
    await using runner = await recordingServer((_, count) => ({ body: { value: `${EVIDENCE}${count}` } }));
    const identity = find({
      GITHUB_ACTIONS: "true",
      ACTIONS_ID_TOKEN_REQUEST_URL: `${runner.url}/token?api-version=2`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "runner-token",
    });
    expect([identity.source, await identity.token(), await identity.token()]).toEqual(["GitHub Actions", `${EVIDENCE}1`, `${EVIDENCE}2`]);
    expect(runner.received[0]?.path).toBe(`/token?api-version=2&audience=${encodeURIComponent(AUDIENCE)}`);
    expect(runner.received[0]?.headers.authorization).toBe("bearer runner-token");
  });

  it("a job without the permission is told which line to add", async () => {
    expect(await refusal({ GITHUB_ACTIONS: "true", GITHUB_EVENT_NAME: "push" })).toMatchObject({
      message: "GitHub Actions: the job may not ask for an ID token",
      hint: expect.stringContaining("permissions: { id-token: write, contents: read }"),
    });
  });

  it("a fork's pull request is told that no line would help", async () => {
    const event = join(folder, "event.json");
    await writeFile(event, JSON.stringify({ pull_request: { head: { repo: { full_name: "mallory/shop" } } } }));
    const env = { GITHUB_ACTIONS: "true", GITHUB_EVENT_NAME: "pull_request", GITHUB_EVENT_PATH: event, GITHUB_REPOSITORY: "acme/shop" };
    expect(await refusal(env)).toMatchObject({ message: "GitHub Actions: pull requests from forks get no ID token" });
    expect(await refusal({ ...env, GITHUB_REPOSITORY: "mallory/shop" })).toMatchObject({
      message: "GitHub Actions: the job may not ask for an ID token",
    });
  });

  it("a runner that refuses is named, not the broker", async () => {
    await using runner = await recordingServer(() => ({ status: 403 }));
    const env = { GITHUB_ACTIONS: "true", ACTIONS_ID_TOKEN_REQUEST_URL: `${runner.url}/token`, ACTIONS_ID_TOKEN_REQUEST_TOKEN: "x" };
    expect(await refusal(env)).toMatchObject({ code: "no_identity", message: "GitHub Actions: the runner's token service answered 403" });
  });
});

describe("on other platforms", () => {
  it("GitLab is told the YAML that declares the token", async () => {
    expect(await refusal({ GITLAB_CI: "true" })).toMatchObject({
      hint: `Add to the job: id_tokens: { STINT_ID_TOKEN: { aud: ${AUDIENCE} } }`,
    });
    expect(await find({ GITLAB_CI: "true", STINT_ID_TOKEN: EVIDENCE }).token()).toBe(EVIDENCE);
  });

  it("Buildkite's agent is asked for our audience", async () => {
    const agent = join(folder, "buildkite-agent");
    await writeFile(agent, `#!/bin/sh\n[ "$1 $2 $3 $4" = "oidc request-token --audience ${AUDIENCE}" ] && echo ${EVIDENCE}\n`);
    await chmod(agent, 0o755);
    expect(await find({ BUILDKITE: "true", BUILDKITE_BIN_PATH: folder, BUILDKITE_AGENT_ACCESS_TOKEN: "x" }).token()).toBe(EVIDENCE);
  });

  it("Buildkite without its agent says so", async () => {
    expect(await refusal({ BUILDKITE: "true", BUILDKITE_BIN_PATH: "/nowhere" })).toMatchObject({
      message: "Buildkite: buildkite-agent is not on PATH",
    });
  });

  it("CircleCI's own program makes a token for our audience; the job's ready tokens are the second choice", async () => {
    const program = join(folder, "circleci");
    await writeFile(program, `#!/bin/sh\n[ "$1 $2 $3 $4 $5" = 'run oidc get --claims {"aud":"${AUDIENCE}"}' ] && echo ${EVIDENCE}\n`);
    await chmod(program, 0o755);
    expect(await find({ CIRCLECI: "true", PATH: `${folder}:/usr/bin:/bin`, CIRCLE_OIDC_TOKEN_V2: "not.this.one" }).token()).toBe(EVIDENCE);
    expect(
      await find({ CIRCLECI: "true", PATH: "/nowhere", CIRCLE_OIDC_TOKEN: "not.this.one", CIRCLE_OIDC_TOKEN_V2: EVIDENCE }).token(),
    ).toBe(EVIDENCE);
    expect(await refusal({ CIRCLECI: "true", PATH: "/nowhere" })).toMatchObject({
      message: "CircleCI: neither the circleci program nor CIRCLE_OIDC_TOKEN_V2 is there",
    });
  });

  it("a pod without a projected token is told to mount one; its own token is never sent", async () => {
    expect(await refusal({ KUBERNETES_SERVICE_HOST: "10.0.0.1" })).toMatchObject({
      message: "Kubernetes: no token at /var/run/secrets/stint/token",
      hint: expect.stringContaining(`audience: ${AUDIENCE}`),
    });
  });

  it("nothing found is said so", async () => {
    expect([find({}).source, await refusal({})]).toEqual([
      "none",
      expect.objectContaining({ code: "no_identity", message: "nothing here proves what this software is" }),
    ]);
  });
});
