import { fork, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { createApp, createServer } from "../../broker/app.ts";
import { createBroker } from "../../broker/compose.ts";
import { systemClock } from "../../domain/time.ts";
import { storeAudit } from "./store-audit.ts";
import { testTarget } from "./test-issuers.ts";

/** What a broker in a process of its own is told. */
export interface BrokerProcessOptions {
  readonly redisUrl: string;
  readonly url: string;
  /** Where it listens, when several bear one name; the port of `url` otherwise. */
  readonly port?: number;
  readonly policyPath: string;
  readonly masterKey: string;
  /** The file of the test issuer's target; empty: none. */
  readonly target: string;
  /** What `env:NAME` finds for real targets. */
  readonly variables?: Readonly<Record<string, string>>;
  /** A line of an operator tokens file. */
  readonly operators: string;
}

export const newMasterKey = (): string => randomBytes(32).toString("base64");

/** Starts a whole broker in a process of its own, with timers, real time and the test issuer; ready when it resolves. Kill it as you like. */
export async function startBrokerProcess(options: BrokerProcessOptions): Promise<ChildProcess> {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(options)], {
    execArgv: [],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const [word] = (await Promise.race([once(child, "message"), once(child, "exit").then(([code]) => [`exited with ${code}`])])) as [string];
  if (word !== "ready") throw new Error(`the broker process ${word}`);
  return child;
}

async function serve(options: BrokerProcessOptions): Promise<void> {
  const target = options.target === "" ? undefined : await testTarget(options.target);
  const quiet = (): void => undefined;
  const broker = await createBroker({
    url: options.url,
    redis: options.redisUrl,
    requireAof: false,
    masterKeys: [Buffer.from(options.masterKey, "base64")],
    policyPath: options.policyPath,
    operators: { file: "operators", text: options.operators },
    log: { info: quiet, warn: quiet, error: quiet },
    openAudit: ({ store }) => storeAudit(store),
    issuers: target === undefined ? [] : [target.issuer],
    variable: (name) => options.variables?.[name],
  });
  await broker.duties.runOnce();
  const server = createServer(createApp(broker.services, { clock: systemClock, version: "0.0.0", trustedProxies: [], served: quiet }));
  server.listen(options.port ?? Number(new URL(options.url).port), "127.0.0.1");
  await once(server, "listening");
  broker.duties.start("* * * * * *");
  process.send?.("ready");
}

// Forked by `startBrokerProcess`, this file is the broker.
if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) {
  await serve(JSON.parse(process.argv[2] ?? "{}") as BrokerProcessOptions);
}
