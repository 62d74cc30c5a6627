import { spawn, type ChildProcess } from "node:child_process";
import { hash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startIdp, type TestIdp } from "../../test/support/idp.ts";
import { presetClaims } from "../../test/support/idp-claims.ts";
import { startDeployApi, type DeployApi } from "./deploy-api.ts";
import { startShipApi, type ShipApi } from "./ship-api.ts";

const dist = fileURLToPath(new URL("../../", import.meta.url));

/** How old the ship API's knowledge may be. */
export const STALENESS = "3s";

/** What a program printed and how it ended. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A program that runs. */
export interface Begun {
  /** SIGKILL for it and everything it started. */
  kill(): void;
  ended(): boolean;
  printed(): string;
}

/** Everything the story needs, running on loopback. */
export interface World extends AsyncDisposable {
  readonly url: string;
  readonly folder: string;
  readonly auditDir: string;
  readonly api: DeployApi;
  /** Checks tokens by itself. */
  readonly ship: ShipApi;
  readonly idp: TestIdp;
  readonly adminToken: string;
  /** Runs `stint` as a CI job whose identity token carries these claims. */
  job(claims: Readonly<Record<string, unknown>>, args: readonly string[], more?: Readonly<Record<string, string>>): Promise<Ran>;
  /** The same, without waiting for its end. */
  begin(claims: Readonly<Record<string, unknown>>, args: readonly string[]): Begun;
  /** SIGKILL. Its Redis, a child of its own, is taken over by the next one. */
  killBroker(): Promise<void>;
  startBroker(): Promise<void>;
  /** Runs `stint` as the security team. */
  operator(args: readonly string[]): Promise<Ran>;
}

/** Claims of a job of the shop's repository, on a run of its own; add or change what the scene is about. */
export const shopJob = (run: number, change: Readonly<Record<string, unknown>> = {}): Record<string, unknown> => ({
  ...presetClaims("github"),
  repository: "acme/shop",
  repository_id: "456789",
  repository_owner: "acme",
  repository_owner_id: "1001",
  sub: "repo:acme/shop:environment:production",
  environment: "production",
  ref: "refs/heads/main",
  event_name: "push",
  run_id: String(8811 + run),
  run_attempt: "1",
  check_run_id: String(700 + run),
  ...change,
});

/** `more` are documents beside the shop's own, and what they refer to. */
export async function buildWorld(more: { readonly documents: string; prepare(folder: string): Promise<void> } | undefined): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), "stint-demo-"));
  const stop: (() => PromiseLike<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  const dispose = async (): Promise<void> => {
    for (const end of stop.splice(0).reverse()) await end();
  };
  try {
    const idp = await startIdp();
    stop.push(() => idp[Symbol.asyncDispose]());
    const url = `http://127.0.0.1:${await freePort()}`;
    const key = randomBytes(32).toString("base64url");
    const api = await startDeployApi({ broker: url, verifier: "deploy-api", key });
    stop.push(() => api[Symbol.asyncDispose]());
    const adminToken = randomBytes(32).toString("base64url");
    const responderToken = randomBytes(32).toString("base64url");
    const tokens = { "root admin": adminToken, "ann responder": responderToken };
    const port = await freePort();
    await mkdir(join(folder, "stint"));
    await more?.prepare(join(folder, "stint"));
    await configure(folder, { idp: idp.issuer, api: api.url, ship: `http://127.0.0.1:${port}`, key, tokens, more: more?.documents ?? "" });
    let broker = await startBroker(folder, url);
    stop.push(() => end(broker));
    const ship = await startShipApi({ broker: url, verifier: "ship-api", key, port, maxStaleness: STALENESS });
    stop.push(() => ship[Symbol.asyncDispose]());
    const asJob = (claims: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> => {
      idp.runner.claims = claims;
      return {
        GITHUB_ACTIONS: "true",
        ACTIONS_ID_TOKEN_REQUEST_URL: idp.runner.requestUrl,
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: idp.runner.requestToken,
      };
    };
    const stint = (args: readonly string[], env: Readonly<Record<string, string>>): Promise<Ran> =>
      run(process.execPath, [join(dist, "client/cli/main.js"), ...args], { STINT_URL: url, ...env }, folder);
    return {
      url,
      folder,
      api,
      ship,
      idp,
      adminToken,
      auditDir: join(folder, "data", "audit"),
      job: (claims, args, variables = {}) => stint(args, { ...asJob(claims), ...variables }),
      begin: (claims, args) => begin([join(dist, "client/cli/main.js"), ...args], { STINT_URL: url, ...asJob(claims) }, folder),
      killBroker: async () => {
        const exited = once(broker, "exit");
        broker.kill("SIGKILL");
        await exited;
      },
      startBroker: async () => void (broker = await startBroker(folder, url)),
      operator: (args) => stint(args, { STINT_OPERATOR_TOKEN: responderToken }),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

interface Setting {
  readonly idp: string;
  readonly api: string;
  readonly ship: string;
  readonly key: string;
  readonly tokens: Readonly<Record<string, string>>;
  readonly more: string;
}

async function configure(folder: string, { idp, api, ship, key, tokens, more }: Setting): Promise<void> {
  const rule = `{ repository_id: "456789", environment: production, ref: refs/heads/main, event_name: push }`;
  const documents = `
kind: Trust
name: github
owner: team-platform
oidc: { issuer: "${idp}", preset: github, insecure_http: true }
---
kind: Grant
name: deploy-prod
owner: team-payments
review_by: 2099-01-01
description: Deploy the shop to production
sensitivity: high
allow:
  - { trust: github, claims: ${rule} }
issue: { issuer: jwt, audience: "${api}", scope: [deploy:write], ttl: 10m, max_ttl: 30m }
tests:
  - { name: main deploys, given: { trust: github, claims: ${rule} }, expect: allow }
  - { name: a pull request never deploys, given: { trust: github, claims: { repository_id: "456789", ref: refs/pull/7/merge } }, expect: deny }
---
kind: Grant
name: smoke-test
owner: team-payments
description: Look whether the shop is up
sensitivity: low
allow:
  - { trust: github, claims: ${rule} }
issue: { issuer: jwt, audience: "${api}", scope: [deploy:read], ttl: 5s }
tests:
  - { name: main may look, given: { trust: github, claims: ${rule} }, expect: allow }
---
kind: Grant
name: ship-prod
owner: team-logistics
review_by: 2099-01-01
description: Tell the warehouse what to ship
sensitivity: high
allow:
  - { trust: github, claims: ${rule} }
issue: { issuer: jwt, audience: "${ship}", scope: [ship:write], ttl: 10m }
tests:
  - { name: main ships, given: { trust: github, claims: ${rule} }, expect: allow }
---
kind: Verifier
name: ship-api
audience: "${ship}"
key: sha256:${hash("sha256", key, "hex")}
checks: feed
---
kind: Verifier
name: deploy-api
audience: "${api}"
key: sha256:${hash("sha256", key, "hex")}
checks: introspection
`;
  await writeFile(join(folder, "stint", "shop.yaml"), documents + more);
  const lines = Object.entries(tokens).map(([who, token]) => `${who} sha256:${hash("sha256", token, "hex")}\n`);
  await writeFile(join(folder, "operators"), lines.join(""), { mode: 0o600 });
}

async function startBroker(folder: string, url: string): Promise<ChildProcess> {
  const env = {
    ...plainEnvironment(),
    STINT_URL: url,
    STINT_CONFIG: join(folder, "stint"),
    STINT_DATA_DIR: join(folder, "data"),
    STINT_OPERATOR_TOKENS_FILE: join(folder, "operators"),
    STINT_METRICS_LISTEN: "off",
    STINT_LOG_FORMAT: "json",
  };
  const broker = spawn(process.execPath, [join(dist, "broker/main.js")], { env, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [broker.stdout, broker.stderr])
    stream?.on("data", (chunk: Buffer) => (log = (log + chunk.toString()).slice(-20_000)));
  for (let wait = 0; wait < 400; wait++) {
    if (broker.exitCode !== null) throw new Error(`the broker stopped with ${broker.exitCode}:\n${log}`);
    const ready = await fetch(`${url}/readyz`).catch(() => undefined);
    if (ready?.ok === true) return broker;
    await pause(50);
  }
  await end(broker);
  throw new Error(`the broker did not become ready:\n${log}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), 12_000);
  await exited;
  clearTimeout(late);
}

/** Our own variables and a real CI's must not leak into the story. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(?:STINT_|ACTIONS_|GITHUB_|GITLAB_|CI$|CI_|BUILDKITE|CIRCLE)/.test(name)),
  );
}

function begin(args: readonly string[], env: Readonly<Record<string, string>>, cwd: string): Begun {
  // a group of its own, so that all of it can be killed at once, as a machine that is lost would be
  const child = spawn(process.execPath, args, {
    env: { ...plainEnvironment(), ...env },
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return {
    kill: () => {
      if (!ended() && child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    },
    ended,
    printed: () => printed,
  };
}

async function run(file: string, args: readonly string[], env: Readonly<Record<string, string>>, cwd: string): Promise<Ran> {
  const child = spawn(file, args, { env: { ...plainEnvironment(), ...env }, cwd, stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code: code ?? 1, out, err };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}
