import { createServer, type IncomingMessage } from "node:http";
import { once } from "node:events";

/** A toy API that deploys: it believes a token only if the broker says, now, that it is active. */
export interface DeployApi extends AsyncDisposable {
  readonly url: string;
  /** What was deployed, by which task. */
  readonly deployed: readonly { readonly version: string; readonly task: string }[];
}

export interface DeployApiOptions {
  readonly broker: string;
  readonly verifier: string;
  readonly key: string;
}

/** Starts it on a free loopback port. */
export async function startDeployApi({ broker, verifier, key }: DeployApiOptions): Promise<DeployApi> {
  const deployed: { version: string; task: string }[] = [];
  const introspect = async (token: string): Promise<Record<string, unknown>> => {
    const answer = await fetch(`${broker}/oauth2/introspect`, {
      method: "POST",
      headers: { authorization: `Basic ${Buffer.from(`${verifier}:${key}`).toString("base64")}` },
      body: new URLSearchParams({ token }),
    });
    return answer.ok ? ((await answer.json()) as Record<string, unknown>) : { active: false };
  };
  const decide = async (request: IncomingMessage): Promise<[number, Record<string, unknown>]> => {
    const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? "")?.[1];
    if (request.method !== "POST" || request.url === undefined) return [404, {}];
    if (token === undefined) return [401, { error: "missing token" }];
    const claims = await introspect(token);
    if (claims["active"] !== true) return [401, { error: "invalid_token" }];
    if (!String(claims["scope"]).split(" ").includes("deploy:write")) return [403, { error: "insufficient_scope" }];
    const version = request.url.slice("/deploy/".length);
    deployed.push({ version, task: String(claims["task_id"]) });
    return [200, { deployed: version, for: claims["workload"], task: claims["task_id"] }];
  };
  const server = createServer((request, response) => {
    decide(request)
      .catch((): [number, Record<string, unknown>] => [503, { error: "the broker does not answer, so nothing is believed" }])
      .then(([status, body]) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body)))
      .catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the deploy API has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    deployed,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
