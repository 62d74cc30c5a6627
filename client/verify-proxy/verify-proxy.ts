import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "../../domain/time.ts";
import { createVerifier, type Verifier, type VerifierClock } from "../verify/index.ts";
import type { Oracle } from "./answer.ts";
import { RouteSource, type HeldRoutes } from "../actions/route-source.ts";
import { createProxyServer, metricsText } from "./server.ts";
import { Witness } from "./witness.ts";

export interface VerifyProxyOptions {
  readonly url: string;
  readonly name: string;
  readonly key: string;
  readonly listen: Address;
  /** Off when absent. */
  readonly metrics: Address | undefined;
  /** Milliseconds. */
  readonly maxStalenessMs: number;
  readonly onStale: "deny" | "introspect";
  readonly routesCache: string | undefined;
  readonly clock: Clock;
  readonly fetch: typeof fetch;
  /** One line of the log: an event, and its facts. Never a token or a key. */
  readonly log: (event: string, facts: Readonly<Record<string, unknown>>) => void;
  readonly refreshMs?: number;
  /** All of the verifier's time, for tests. */
  readonly verifierClock?: VerifierClock;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface VerifyProxy extends AsyncDisposable {
  readonly address: Address;
  readonly metrics: Address | undefined;
}

/** Routes are asked for this often. */
const REFRESH_MS = 10_000;

/** Starts to answer proxies; what it needs from the broker comes when the broker does. */
export async function startVerifyProxy(options: VerifyProxyOptions): Promise<VerifyProxy> {
  const { log, clock } = options;
  const source = new RouteSource({ ...options, cacheFile: options.routesCache });
  const witness = new Witness({ ...options, monotonic: () => performance.now() });
  let made: { readonly verifier: Verifier; readonly audience: string } | undefined;

  function verifierFor({ issuer, audience }: HeldRoutes): Verifier {
    if (made?.audience === audience) return made.verifier;
    // the verifier's audience was changed in its document: what was known is of no use for the new one
    void made?.verifier.close();
    const { name, key, maxStalenessMs, onStale, fetch } = options;
    const verifier = createVerifier({
      issuer,
      audience,
      name,
      key,
      maxStaleness: maxStalenessMs / 1000,
      onStale,
      fetch,
      ...(options.verifierClock === undefined ? {} : { clock: options.verifierClock }),
      log: ({ event, ...facts }) => log(event, facts),
    });
    made = { verifier, audience };
    return verifier;
  }

  function oracle(): Oracle | undefined {
    const { held } = source;
    if (held === undefined) return undefined;
    return { verifier: verifierFor(held), routes: held.routes, clock, witness, denied: (facts) => log("denied", facts) };
  }

  await source.refresh();
  await source.restore();
  oracle();
  const state = () => made?.verifier.state();
  const { server, counts } = createProxyServer({ oracle, state, failed: (error) => log("failed", { error: String(error) }) });
  const address = await listen(server, options.listen);
  const metricsServer =
    options.metrics === undefined
      ? undefined
      : createServer((_, response) => {
          response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end(metricsText(counts, state()));
        });
  const metrics = metricsServer === undefined || options.metrics === undefined ? undefined : await listen(metricsServer, options.metrics);
  const timer = setInterval(() => void source.refresh().then(oracle), options.refreshMs ?? REFRESH_MS);
  return {
    address,
    metrics,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await Promise.all([server, metricsServer].map(close));
      await made?.verifier.close();
    },
  };
}

function listen(server: Server, { host, port }: Address): Promise<Address> {
  return new Promise((resolve, reject) => {
    server.once("error", reject).listen(port, host, () => resolve({ host, port: (server.address() as AddressInfo).port }));
  });
}

/** Lets what is being answered end, and waits for nobody who is idle. */
async function close(server: Server | undefined): Promise<void> {
  if (server === undefined) return;
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
    setTimeout(() => server.closeAllConnections(), 2_000).unref();
  });
}
