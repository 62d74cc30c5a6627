import { readFileSync } from "node:fs";
import type { Server } from "node:http";
import { systemClock } from "../domain/time.ts";
import { createApp, createMetricsApp, createServer, isShed, leave, requestLog, type AppOptions, type Scrape, type Tls } from "./app.ts";
import type { Broker } from "./compose.ts";
import type { Config } from "./config.ts";
import { Unusable } from "./prepare.ts";
import type { Logger } from "./telemetry/logger.ts";
import type { Metrics } from "./telemetry/metrics.ts";

/** Open listeners. */
export interface Listening {
  /** Stops serving without breaking a request; what is under way after some seconds is cut off. */
  stop(): Promise<void>;
}

/** What stands behind the listeners. */
export interface Served {
  readonly broker: Broker;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** What the metrics listener shows. */
  readonly scrape: Scrape;
  readonly version: string;
  /** Other processes accept on the same listeners. */
  readonly shared: boolean;
}

/** Connections learn by an answer that we leave; at a steady load each is used within a second. Where others accept meanwhile, there is time. */
const LAME_MS = { alone: 1_000, shared: 3_000 } as const;
/** Connections that the kernel keeps for us while we are busy; it takes no more than `somaxconn`. */
const BACKLOG = 4_096;
const REQUESTS_MS = 2_500;

/** Opens the listeners that the configuration names. Throws `Unusable` when one cannot be opened. */
export async function listen(config: Config, { broker, logger, metrics, scrape, version, shared }: Served): Promise<Listening> {
  const observe = requestLog(logger, ({ method, route, status, seconds, code }) => {
    metrics.httpRequest(method, route, status, seconds);
    if (code !== undefined) counted(metrics, code);
  });
  const options: AppOptions = {
    clock: systemClock,
    version,
    trustedProxies: config.trustedProxies,
    asksForCertificates: config.tls?.clientCaFile !== undefined,
    served: observe,
  };
  const servers = [createServer(createApp(broker.services, options), tlsOf(config))];
  const places = [config.listen];
  if (config.metricsListen !== undefined) {
    servers.push(createServer(createMetricsApp(broker.services, options, scrape)));
    places.push(config.metricsListen);
  }
  try {
    for (const [index, server] of servers.entries()) await open(server, places[index] ?? config.listen);
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
  const leaving = { lameMs: LAME_MS[shared ? "shared" : "alone"], withinMs: REQUESTS_MS, shared };
  return { stop: async () => void (await Promise.all(servers.map((server) => leave(server, leaving)))) };
}

const REPLAYS: Readonly<Record<string, "evidence" | "idempotency">> = {
  evidence_spent: "evidence",
  already_issued: "idempotency",
  idempotency_mismatch: "idempotency",
  in_flight: "idempotency",
};

function counted(metrics: Metrics, code: string): void {
  if (isShed({ code })) metrics.shed(code);
  const replay = REPLAYS[code];
  if (replay !== undefined) metrics.replayRejected(replay);
}

function tlsOf({ tls }: Config): Tls | undefined {
  if (tls === undefined) return undefined;
  const read = (variable: string, path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw new Unusable(`${variable}: expected a file that can be read`, { cause: error });
    }
  };
  const clientCa = tls.clientCaFile === undefined ? {} : { clientCa: read("STINT_TLS_CLIENT_CA_FILE", tls.clientCaFile) };
  return { cert: read("STINT_TLS_CERT_FILE", tls.certFile), key: read("STINT_TLS_KEY_FILE", tls.keyFile), ...clientCa };
}

function open(server: Server, { host, port }: Config["listen"]): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const why = error.code === "EADDRINUSE" ? "another program listens there" : (error.code ?? error.message);
      reject(new Unusable(`cannot listen on ${host}:${port}: ${why}`, { cause: error }));
    });
    server.listen({ port, host, backlog: BACKLOG }, () => resolve());
  });
}
