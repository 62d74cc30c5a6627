import { readFileSync } from "node:fs";
import type { Server } from "node:http";
import { systemClock } from "../domain/time.ts";
import { createApp, createMetricsApp, createServer, requestLog, type AppOptions, type Tls } from "./app.ts";
import type { Broker } from "./compose.ts";
import type { Config } from "./config.ts";
import { Unusable } from "./prepare.ts";
import { pause } from "./sweeper/schedule.ts";
import type { Logger } from "./telemetry/logger.ts";
import type { Metrics } from "./telemetry/metrics.ts";

/** Open listeners. */
export interface Listening {
  /** Takes no new connections, and waits for requests under way; after the time they are cut off. */
  stop(withinMs: number): Promise<void>;
}

/** Opens the listeners that the configuration names. Throws `Unusable` when one cannot be opened. */
export async function listen(config: Config, broker: Broker, logger: Logger, metrics: Metrics, version: string): Promise<Listening> {
  const observe = requestLog(logger, ({ method, route, status, seconds }) => metrics.httpRequest(method, route, status, seconds));
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
    const scrape = async () => {
      const { contentType, body } = await metrics.render();
      return { contentType, text: body };
    };
    servers.push(createServer(createMetricsApp(broker.services, options, scrape)));
    places.push(config.metricsListen);
  }
  try {
    for (const [index, server] of servers.entries()) await open(server, places[index] ?? config.listen);
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
  return { stop: async (withinMs) => void (await Promise.all(servers.map((server) => stop(server, withinMs)))) };
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
    server.listen(port, host, () => resolve());
  });
}

async function stop(server: Server, withinMs: number): Promise<void> {
  const over = new AbortController();
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  await Promise.race([closed, pause(withinMs, over.signal)]);
  over.abort();
  // Event streams never end by themselves.
  server.closeAllConnections();
  await closed;
}
