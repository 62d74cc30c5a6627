import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { blocksIn } from "../../docs/pages.ts";
import { ifPresent } from "../../support/needs.ts";
import { selfSigned } from "../../support/self-signed.ts";
import { MATERIALS } from "../deliver/answers.ts";
import { recordingServer, type RecordingServer } from "../recording-server.ts";
import { EVIDENCE, SECRET, credential, toyBroker } from "../toy-broker.ts";
import { gitServer } from "./git-server.ts";
import { CLI, runCli, startProgram } from "./run-cli.ts";

const withKubectl = ifPresent("kubectl");
const withDocker = ifPresent("docker");
let folder = "";
/** The command as other programs find it on PATH. */
let bin = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "stint-helpers-"));
  bin = await mkdtemp(join(folder, "bin-"));
  await program("stint", `exec "${process.execPath}" "${CLI}" "$@"`);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function program(name: string, line: string): Promise<void> {
  await writeFile(join(bin, name), `#!/bin/sh\n${line}\n`);
  await chmod(join(bin, name), 0o755);
}
/** A broker that gives this credential under a task; the token endpoint points there. */
const brokerOf = (material: object): Promise<RecordingServer> =>
  toyBroker(({ path }) => {
    if (path === "/oauth2/token") return { status: 400, body: { error: "invalid_target", code: "not_a_token", error_description: "no" } };
    return path.endsWith("/credentials") ? { status: 201, body: { ...credential(), grant: "source", credential: material } } : undefined;
  });
const env = (broker: RecordingServer, more: Record<string, string> = {}) => ({
  PATH: `${bin}:${process.env["PATH"] ?? ""}`,
  HOME: folder,
  STINT_URL: broker.url,
  STINT_ID_TOKEN: EVIDENCE,
  ...more,
});
const issued = (broker: RecordingServer): number => broker.received.filter(({ path }) => path.endsWith("/credentials")).length;

describe("git", () => {
  it("clones with a token that it asked us for", async () => {
    await using server = await gitServer(folder, { username: "x-access-token", password: MATERIALS.github.token });
    await using broker = await brokerOf({ ...MATERIALS.github, api_url: `https://${server.host}/api/v3` });
    const config = [`credential.https://${server.host}.helper=!stint credential-helper git --grant source --host ${server.host}`];
    const target = join(folder, "clone");
    const ran = await startProgram(
      "git",
      [...config.flatMap((one) => ["-c", one]), "clone", "--quiet", `https://${server.host}/repo.git`, target],
      env(broker, { GIT_SSL_NO_VERIFY: "1", GIT_TERMINAL_PROMPT: "0" }),
    ).done;
    expect([ran.code, await readFile(join(target, "file"), "utf8")]).toEqual([0, "content\n"]);
    expect(issued(broker)).toBe(1);
  });

  it("stops asking where it was denied, and is told why", async () => {
    await using broker = await toyBroker(({ path }) =>
      path === "/oauth2/token"
        ? { status: 400, body: { error: "invalid_target", code: "not_permitted", error_description: "no" } }
        : undefined,
    );
    const ran = await startProgram(
      "git",
      ["-c", "credential.helper=!stint credential-helper git --grant source", "credential", "fill"],
      env(broker, { GIT_TERMINAL_PROMPT: "0" }),
      "protocol=https\nhost=github.com\n\n",
    ).done;
    expect(ran.code).not.toBe(0);
    expect(ran.err).toContain("✗ denied: source (not_permitted)");
    expect(ran.err).toContain("told us to quit");
  });

  it.each([
    ["another host", "get", "protocol=https\nhost=evil.example\n\n"],
    ["plain http", "get", "protocol=http\nhost=github.com\n\n"],
    ["a word to store", "store", `protocol=https\nhost=github.com\npassword=${SECRET}\n\n`],
    ["a word to erase", "erase", "protocol=https\nhost=github.com\n\n"],
    ["nothing", "get", ""],
  ])("gets no answer for %s, and nothing is issued", async (_, operation, input) => {
    await using broker = await brokerOf(MATERIALS.github);
    const ran = await runCli(["credential-helper", "git", "--grant", "source", operation], env(broker), input);
    expect([ran.code, ran.out, ran.err]).toEqual([0, "", ""]);
    expect(broker.received).toHaveLength(0);
  });

  it("gets no token that is for another host than was asked", async () => {
    await using broker = await brokerOf(MATERIALS.github);
    const ran = await runCli(
      ["credential-helper", "git", "--grant", "source", "--host", "git.acme.dev", "get"],
      env(broker),
      "protocol=https\nhost=git.acme.dev\n\n",
    );
    expect([ran.code, ran.out]).toEqual([2, "quit=true\n"]);
    expect(ran.err).toContain("the token is for github.com, not for git.acme.dev");
  });
});

describe("kubectl", () => {
  withKubectl.it(
    "shows a token that it asked us for, and asks anew where it is refused",
    async () => {
      await using broker = await brokerOf(MATERIALS.jwt);
      const seen: (string | undefined)[] = [];
      const server = createServer(selfSigned("127.0.0.1", { days: 2 }), (request, response) => {
        seen.push(request.headers.authorization);
        response.writeHead(200, { "content-type": "application/json" }).end('{"gitVersion":"v1.32.0"}');
      }).listen(0, "127.0.0.1");
      await once(server, "listening");
      const kubeconfig = join(folder, "kubeconfig");
      await writeFile(
        kubeconfig,
        JSON.stringify({
          apiVersion: "v1",
          kind: "Config",
          "current-context": "c",
          clusters: [
            {
              name: "c",
              cluster: { server: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, "insecure-skip-tls-verify": true },
            },
          ],
          contexts: [{ name: "c", context: { cluster: "c", user: "stint" } }],
          // as the documentation has it
          ...(parse(blocksIn("yaml").find(({ info }) => info === "yaml kubeconfig")?.text ?? "") as object),
        }),
      );
      const ran = await startProgram("kubectl", ["get", "--raw", "/version"], env(broker, { KUBECONFIG: kubeconfig })).done;
      server.closeAllConnections();
      server.close();
      expect([ran.code, ran.out]).toEqual([0, '{"gitVersion":"v1.32.0"}']);
      expect(new Set(seen)).toEqual(new Set([`Bearer ${MATERIALS.jwt.token}`]));
      expect(issued(broker)).toBe(1);
    },
    60_000,
  );

  it("is answered in the version that its file names, and told where that is unknown", async () => {
    await using broker = await brokerOf(MATERIALS.jwt);
    const call = (info: string) =>
      runCli(["credential-helper", "kubectl", "--grant", "source"], env(broker, { KUBERNETES_EXEC_INFO: info }));
    const beta = await call('{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{"interactive":false}}');
    expect(JSON.parse(beta.out)).toMatchObject({ apiVersion: "client.authentication.k8s.io/v1beta1", kind: "ExecCredential" });
    const alpha = await call('{"apiVersion":"client.authentication.k8s.io/v1alpha1"}');
    expect([alpha.code, alpha.out]).toEqual([2, ""]);
    expect(alpha.err).toContain("a version of ExecCredential that is not known here");
    expect((await call("{")).code).toBe(2);
  });
});

describe("docker", () => {
  withDocker.it(
    "shows a registry the login that it asked us for",
    async () => {
      await using broker = await brokerOf(MATERIALS.jwt);
      await using registry = await recordingServer(({ headers }) =>
        headers.authorization === undefined
          ? { status: 401, headers: { "www-authenticate": 'Basic realm="registry"' }, body: {} }
          : { status: 404, body: { errors: [{ code: "MANIFEST_UNKNOWN", message: "manifest unknown" }] } },
      );
      const host = registry.url.replace("http://", "");
      await program("docker-credential-stint", `exec stint credential-helper docker --grant source --host ${host} "$@"`);
      const config = await mkdtemp(join(folder, "docker-"));
      await writeFile(join(config, "config.json"), JSON.stringify({ credHelpers: { [host]: "stint" } }));
      const ran = await startProgram(
        "docker",
        ["manifest", "inspect", "--insecure", `${host}/acme/shop:1`],
        env(broker, { DOCKER_CONFIG: config }),
      ).done;
      expect(ran.err).toMatch(/no such manifest|manifest unknown/);
      const basic = `Basic ${Buffer.from(`x-access-token:${MATERIALS.jwt.token}`).toString("base64")}`;
      expect(registry.received.map(({ headers }) => headers.authorization)).toContain(basic);
    },
    60_000,
  );

  it("is answered as its helpers are: found, not found, nothing to keep", async () => {
    await using broker = await brokerOf(MATERIALS.jwt);
    const call = (operation: string, input = "") =>
      runCli(["credential-helper", "docker", "--grant", "source", "--host", "registry.acme.dev", operation], env(broker), input);
    expect(JSON.parse((await call("get", "https://registry.acme.dev/v2/\n")).out)).toEqual({
      ServerURL: "https://registry.acme.dev/v2/",
      Username: "x-access-token",
      Secret: MATERIALS.jwt.token,
    });
    const other = await call("get", "evil.example\n");
    expect([other.code, other.out]).toEqual([1, "credentials not found in native keychain\n"]);
    const store = await call("store", '{"ServerURL":"registry.acme.dev","Username":"u","Secret":"s"}');
    expect([store.code, store.out]).toEqual([1, expect.stringContaining("there is nothing to store")]);
    expect([(await call("erase", "registry.acme.dev")).code, (await call("list")).out]).toEqual([
      0,
      '{"registry.acme.dev":"x-access-token"}\n',
    ]);
    expect(issued(broker)).toBe(1);
  });
});

describe("the AWS SDKs", () => {
  it("get access keys, and for a JWT a word on how AWS takes one", async () => {
    await using broker = await brokerOf({
      type: "aws_sts",
      access_key_id: "ASIAEXAMPLE",
      secret_access_key: "of-the-maker",
      session_token: "t",
    });
    const ran = await runCli(["credential-helper", "aws", "--grant", "source"], env(broker));
    expect([ran.code, JSON.parse(ran.out)]).toEqual([0, expect.objectContaining({ Version: 1, AccessKeyId: "ASIAEXAMPLE" })]);
    expect(ran.err).toBe("");
    await using other = await brokerOf(MATERIALS.jwt);
    const refused = await runCli(["credential-helper", "aws", "--grant", "source"], env(other));
    expect([refused.code, refused.out]).toEqual([2, ""]);
    expect(refused.err).toContain("AWS_WEB_IDENTITY_TOKEN_FILE");
  });
});

describe("a helper on a terminal", () => {
  it("shows nothing and asks for nothing: it answers programs", async () => {
    await using broker = await brokerOf(MATERIALS.jwt);
    const typed = `'${process.execPath}' '${CLI}' credential-helper kubectl --grant source`;
    const ran = await startProgram("script", ["-qec", typed, "/dev/null"], env(broker, { TERM: "xterm" })).done;
    expect(ran.out).toContain("this answers a program");
    expect(broker.received).toHaveLength(0);
  });
});
