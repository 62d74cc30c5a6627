import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { LeaseView } from "../../domain/wire.ts";
import { startIdp, type TestIdp } from "../../test/support/idp.ts";
import { freePort } from "../../test/support/redis.ts";
import { startDeployApi, type DeployApi } from "./deploy-api.ts";
import { begin, end, plainEnvironment, run, type Begun, type Ran } from "./programs.ts";
import { configure } from "./shop.ts";
import { startShipApi, type ShipApi } from "./ship-api.ts";

const dist = fileURLToPath(new URL("../../", import.meta.url));

/** How old the ship API's knowledge may be. */
export const STALENESS = "3s";

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
  /** What `stint lease inspect` says. */
  lease(id: string): Promise<Partial<LeaseView>>;
}

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
    stop.push(async () => {
      if (broker.signalCode === "SIGKILL") broker = await startBroker(folder, url); // its Redis outlived it, and ends with its next broker
      await end(broker);
    });
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
      run([join(dist, "client/cli/main.js"), ...args], { STINT_URL: url, ...env }, folder);
    const operator = (args: readonly string[]): Promise<Ran> => stint(args, { STINT_OPERATOR_TOKEN: responderToken });
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
      operator,
      lease: async (id) => JSON.parse((await operator(["lease", "inspect", id, "--json"])).out || "{}") as Partial<LeaseView>,
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
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
