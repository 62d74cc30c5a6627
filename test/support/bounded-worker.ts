import cluster, { type Worker } from "node:cluster";
import { once } from "node:events";
import { createServer } from "node:http";
import { boundConnections } from "../../broker/http/connections.ts";
import { eventually } from "./events.ts";

interface Order {
  readonly port: number;
  readonly connections: number;
}

/** Processes behind one listener, as workers of a broker are, each with room for so many connections. */
export async function startBounded(count: number, order: Order): Promise<AsyncDisposable> {
  cluster.schedulingPolicy = cluster.SCHED_RR;
  cluster.setupPrimary({ exec: import.meta.filename });
  const workers: Worker[] = [];
  for (let index = 0; index < count; index += 1) {
    const worker = cluster.fork({ ORDER: JSON.stringify(order) });
    workers.push(worker);
    await once(worker, "listening");
  }
  return {
    async [Symbol.asyncDispose]() {
      for (const { process } of workers) process.kill("SIGKILL");
      await eventually("they are gone", () => workers.every((worker) => worker.isDead()));
    },
  };
}

// Forked by `startBounded`, this file is the server.
if (cluster.isWorker && process.argv[1] === import.meta.filename) {
  const { port, connections } = JSON.parse(process.env["ORDER"] ?? "") as Order;
  const server = createServer((_request, response) => void response.end("ok"));
  server.keepAliveTimeout = 60_000;
  boundConnections(server, connections);
  server.listen(port, "127.0.0.1");
}
