import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { newOperatorToken } from "../../broker/operators.ts";
import type { LeaseId } from "../../domain/ids.ts";
import type { Store } from "../../store/api.ts";
import { startBroker } from "./broker.ts";
import { fakeClock } from "./clock.ts";
import { newMasterKey, startBrokerProcess } from "./broker-process.ts";
import { presetClaims } from "./idp-claims.ts";
import { startIdp } from "./idp.ts";
import { freePort, startRedis } from "./redis.ts";
import { DEPLOY_KEY, shopDocuments } from "./shop.ts";
import { fileTarget, postgresTarget } from "./storm-target.ts";

/** What a storm left behind. All counts but the first three must be 0. */
export interface StormReport {
  readonly kills: number;
  readonly issued: number;
  readonly acknowledgedEndings: number;
  /** Credentials at the target that no sweep removed. */
  readonly orphans: number;
  /** Answered with a credential, but the store knows no lease of it. */
  readonly lost: number;
  /** A revocation was acknowledged, and the token is believed all the same. */
  readonly revived: number;
  /** Leases that are in no state, or counted twice. */
  readonly unaccounted: number;
  /** Leases past their time that are still honoured. */
  readonly overdue: number;
}

interface Held {
  readonly lease: LeaseId;
  readonly token: string;
  readonly taskToken: string;
}

export interface StormOptions {
  /** Where the credentials are made: a file that stands for a target, or a real Postgres. */
  readonly system?: "file" | "postgres";
  readonly say?: (line: string) => void;
  /** Brokers that share the store, one unless told otherwise. */
  readonly brokers?: number;
  /** What befalls them; without it one broker is killed again and again. */
  readonly weather?: (hands: StormHands) => Promise<void>;
}

/** What bad weather is made with. */
export interface StormHands {
  /** Starts the broker of this place. */
  start(place: number): Promise<ChildProcess>;
  /** Asks for credentials and gives them back, at any broker, until the signal. */
  work(signal: AbortSignal): Promise<void>;
  readonly issued: () => number;
}

/**
 * Kills a broker with SIGKILL `kills` times at random instants while jobs ask for credentials, release them and complete tasks, then
 * lets one broker live and looks at what is left.
 */
export async function killStorm(
  kills: number,
  { system = "file", say = () => undefined, brokers = 1, weather }: StormOptions = {},
): Promise<StormReport> {
  await using redis = await startRedis({ aof: true });
  await using idp = await startIdp();
  await using target = system === "postgres" ? await postgresTarget() : await fileTarget();
  const folder = await mkdtemp(join(tmpdir(), "stint-storm-"));
  const ports = await Promise.all(Array.from({ length: brokers }, () => freePort()));
  const url = `http://127.0.0.1:${ports[0]}`;
  await writeFile(
    join(folder, "policy.yaml"),
    (shopDocuments(idp, url) + target.documents).replaceAll("ttl: 10m", "ttl: 20s").replaceAll("max_ttl: 30m", "max_ttl: 20s"),
  );
  const operator = newOperatorToken("responder", "responder");
  const options = {
    redisUrl: redis.url,
    url,
    policyPath: folder,
    masterKey: newMasterKey(),
    target: target.file,
    variables: target.variables,
    operators: operator.line,
  };
  const held: Held[] = [];
  const ended: Held[] = [];
  let run = 0;

  const post = async (path: string, body: URLSearchParams | string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`http://127.0.0.1:${ports[Math.floor(Math.random() * brokers)]}${path}`, {
      method: "POST",
      body,
      headers: { ...(typeof body === "string" ? { "content-type": "application/json" } : {}), ...headers },
      signal: AbortSignal.timeout(5000),
    });
  const evidence = (): Promise<string> => {
    run += 1;
    return idp.token(
      presetClaims("github", { iss: idp.issuer, aud: url, repository_id: "456789", ref: "refs/heads/main", run_id: `${run}` }),
    );
  };
  const askToken = async (): Promise<void> => {
    const form = new URLSearchParams({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token: await evidence(),
      subject_token_type: "urn:ietf:params:oauth:token-type:id_token",
      scope: "grant:deploy",
    });
    const answer = await post("/oauth2/token", form);
    if (!answer.ok) return;
    const body = (await answer.json()) as { lease_id: LeaseId; access_token: string; task_token: string };
    held.push({ lease: body.lease_id, token: body.access_token, taskToken: body.task_token });
  };
  const askRole = async (): Promise<void> => {
    const opened = await post("/v1/tasks", "{}", { authorization: `Bearer ${await evidence()}` });
    if (!opened.ok) return;
    const { task, task_token: taskToken } = (await opened.json()) as { task: string; task_token: string };
    const answer = await post(`/v1/tasks/${task}/credentials`, '{"grant":"database"}', { authorization: `Bearer ${taskToken}` });
    if (answer.ok) held.push({ lease: ((await answer.json()) as { lease_id: LeaseId }).lease_id, token: taskToken, taskToken });
  };
  const finish = async (): Promise<void> => {
    const one = held[Math.floor(Math.random() * held.length)];
    if (one === undefined) return;
    const answer =
      Math.random() < 0.5
        ? await post(`/v1/leases/${one.lease}/release`, "{}", { authorization: `Bearer ${one.taskToken}` })
        : await post("/oauth2/revoke", new URLSearchParams({ token: one.taskToken }));
    if (answer.ok) ended.push(one);
  };
  const work = async (signal: AbortSignal): Promise<void> => {
    // Only a dead broker stops a worker; what failed was cut off, and that is the point.
    while (!signal.aborted) await (Math.random() < 0.75 ? (Math.random() < 0.7 ? askRole() : askToken()) : finish()).catch(() => pause(5));
  };

  const start = (place = 0): Promise<ChildProcess> => startBrokerProcess({ ...options, port: ports[place] ?? 0 });

  try {
    await weather?.({ start, work, issued: () => held.length });
    for (let kill = 1; weather === undefined && kill <= kills; kill++) {
      const broker = await start();
      const over = new AbortController();
      const workers = Array.from({ length: 8 }, () => work(over.signal));
      // First something must be under way, however slow the machine is; then at any moment.
      const before = held.length;
      for (let wait = 0; wait < 400 && held.length < before + 2; wait++) await pause(10);
      await pause(Math.random() * 120);
      await die(broker);
      over.abort();
      await Promise.all(workers);
      if (kill % 20 === 0) say(`${kill} kills, ${held.length} issued, ${ended.length} endings acknowledged`);
    }
    say("the last one lives, some minutes later; everything must come to its end");
    // Time jumps instead of passing: a claim of a dead broker is hidden for a minute.
    const later = fakeClock(Date.now());
    await using survivor = await startBroker({
      clock: later,
      redis,
      url,
      policyDir: folder,
      masterKey: Buffer.from(options.masterKey, "base64"),
      issuers: target.issuers,
      variables: target.variables,
    });
    const revived = (await Promise.all(ended.map((one) => introspect(url, one.token)))).filter(Boolean).length;
    for (let round = 0; round < 20 && (await alive(survivor.store)) > 0; round++) {
      later.advance({ minutes: 2 });
      await survivor.sweep();
      await survivor.settled();
    }
    const { byState, opened } = await survivor.store.leases.counts();
    const known = await Promise.all(held.map(async ({ lease }) => survivor.store.leases.get(lease)));
    const overdue = (await Promise.all(held.map((one) => introspect(url, one.token)))).filter(Boolean).length;
    return {
      kills,
      issued: held.length,
      acknowledgedEndings: ended.length,
      orphans: (await target.alive()).length,
      lost: known.filter((lease) => lease === undefined).length,
      revived,
      unaccounted: opened - Object.values(byState).reduce((sum, count) => sum + count, 0),
      overdue,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** SIGKILL, and waits until it is gone. */
export async function die(broker: ChildProcess): Promise<void> {
  const exited = once(broker, "exit");
  broker.kill("SIGKILL");
  await exited;
}

async function introspect(url: string, token: string): Promise<boolean> {
  const answer = await fetch(`${url}/oauth2/introspect`, {
    method: "POST",
    headers: { authorization: `Basic ${Buffer.from(`deploy-api:${DEPLOY_KEY}`).toString("base64")}` },
    body: new URLSearchParams({ token }),
  });
  return ((await answer.json()) as { active: boolean }).active;
}

async function alive(store: Store): Promise<number> {
  const { byState } = await store.leases.counts();
  return (byState["pending"] ?? 0) + (byState["active"] ?? 0) + (byState["revoking"] ?? 0) + (byState["stuck"] ?? 0);
}
