import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { type AppOptions, createApp, createServer } from "../../broker/app.ts";
import type { Served } from "../../broker/app.ts";
import type { Services } from "../../broker/services.ts";
import { fakeClock, type FakeClock } from "./clock.ts";
import { memoryServices } from "./memory-services.ts";

/** The real app on a real port, over the services given; the rest are in memory. */
export interface TestHttp extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly clock: FakeClock;
  /** One entry for each request answered. */
  readonly served: readonly Served[];
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** POSTs a form. A list is a repeated parameter. */
  form(path: string, form: Readonly<Record<string, string>> | string, headers?: Readonly<Record<string, string>>): Promise<Response>;
  json(path: string, body: unknown, headers?: Readonly<Record<string, string>>): Promise<Response>;
  /** Writes bytes to a socket and returns everything that comes back until it closes or `quietMs` pass without a byte. */
  raw(bytes: string | Buffer, quietMs?: number): Promise<string>;
  close(): Promise<void>;
}

export async function startHttp(services: Partial<Services> = {}, options: Partial<AppOptions> = {}): Promise<TestHttp> {
  const clock = fakeClock();
  const served: Served[] = [];
  const app = createApp(
    { ...memoryServices(clock), ...services },
    { clock, version: "0.0.0", trustedProxies: [], served: (what) => void served.push(what), ...options },
  );
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  const ask = (path: string, init?: RequestInit): Promise<Response> => fetch(`${url}${path}`, init);
  return {
    url,
    port,
    clock,
    served,
    fetch: ask,
    form: (path, form, headers = {}) =>
      ask(path, {
        method: "POST",
        body: typeof form === "string" ? form : new URLSearchParams(form).toString(),
        headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
      }),
    json: (path, body, headers = {}) =>
      ask(path, {
        method: "POST",
        body: typeof body === "string" ? body : JSON.stringify(body),
        headers: { "content-type": "application/json", ...headers },
      }),
    raw: (bytes, quietMs = 400) => rawExchange(port, bytes, quietMs),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function rawExchange(port: number, bytes: string | Buffer, quietMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    const done = (): void => {
      socket.destroy();
      resolve(text);
    };
    socket.setTimeout(quietMs, done);
    socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    socket.on("error", done).on("close", done);
    socket.write(bytes);
  });
}
