import { createServer } from "node:http";
import { once } from "node:events";
import { narrate } from "./stage.ts";
import { createVerifier, VerifyError } from "../../client/verify/index.ts";

/** A toy API that checks tokens by itself: it keeps the broker's feed of what was revoked, and asks about no token. */
export interface ShipApi extends AsyncDisposable {
  readonly url: string;
  /** Paths of the broker that it has called, and how often. */
  readonly called: ReadonlyMap<string, number>;
}

export interface ShipApiOptions {
  readonly broker: string;
  readonly verifier: string;
  readonly key: string;
  readonly port: number;
  /** How old its knowledge may be before it refuses everything. */
  readonly maxStaleness: string;
}

/** Starts it on a loopback port; it serves once it knows what is revoked. */
export async function startShipApi({ broker, verifier: name, key, port, maxStaleness }: ShipApiOptions): Promise<ShipApi> {
  const url = `http://127.0.0.1:${port}`;
  const called = new Map<string, number>();
  const verifier = createVerifier({
    issuer: broker,
    audience: url,
    name,
    key,
    maxStaleness,
    instance: "ship-1",
    log: ({ level, event, message }) => {
      if (level === "warn" && event !== "refused" && event !== "feed_lost") narrate(`the API logs: ${message}`);
    },
    fetch: (input, init) => {
      const { pathname } = new URL(input);
      called.set(pathname, (called.get(pathname) ?? 0) + 1);
      return fetch(input, init);
    },
  });
  const decide = async (authorization: string | undefined): Promise<[number, Record<string, unknown>]> => {
    try {
      const { payload } = await verifier.verify(new Request(url, { headers: authorization === undefined ? {} : { authorization } }));
      return [200, { shipped: true, for: payload["workload"] }];
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      return [error.status, { error: error.error, why: error.reason }];
    }
  };
  const server = createServer((request, response) => {
    decide(request.headers.authorization)
      .then(([status, body]) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body)))
      .catch(() => response.destroy());
  });
  await verifier.ready();
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    url,
    called,
    async [Symbol.asyncDispose]() {
      await verifier.close();
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}
