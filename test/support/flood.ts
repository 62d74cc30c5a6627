import { fork } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { fileURLToPath } from "node:url";

/** What one flooding client heard. */
export interface Flooded {
  readonly status: number;
  readonly retryAfter: string | undefined;
}

interface Order {
  readonly url: string;
  readonly bodies: readonly string[];
  readonly connections: number;
}

/** Posts all bodies from a process of its own, each connection asking again at once: whoever measures beside it is not slowed by it. */
export async function flood(order: Order): Promise<readonly Flooded[]> {
  const child = fork(fileURLToPath(import.meta.url), [], { execArgv: [], serialization: "advanced" });
  child.send(order);
  const [answers] = (await once(child, "message")) as [readonly Flooded[]];
  child.kill();
  return answers;
}

async function post({ url, bodies, connections }: Order): Promise<readonly Flooded[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const one = (body: string): Promise<Flooded> =>
    new Promise((resolve) => {
      const headers = { "content-type": "application/x-www-form-urlencoded", "content-length": Buffer.byteLength(body) };
      const sent = request(url, { method: "POST", agent, headers }, (response) => {
        response.resume().on("end", () => resolve({ status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"] }));
      });
      sent.on("error", () => resolve({ status: 0, retryAfter: undefined })).end(body);
    });
  const answers: Flooded[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < bodies.length; index = next++) answers.push(await one(bodies[index] ?? ""));
  };
  await Promise.all(Array.from({ length: connections }, lane));
  return answers;
}

// Forked by `flood`, this file is the client.
if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) {
  const [order] = (await once(process, "message")) as [Order];
  process.send(await post(order));
}
