import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { Server as NetServer, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { pause } from "../sweeper/schedule.ts";
import { cutConnections } from "./connections.ts";

/** How a server takes its leave. */
export interface Leaving {
  /** Connections that are open have this long to hear, with their next answer, that they should be closed. */
  readonly lameMs: number;
  /** What is under way after that has this long; then it is cut off. */
  readonly withinMs: number;
  /** Other processes accept on the same listener: ours closes at once, since nobody is turned away by that. */
  readonly shared: boolean;
}

const LOOK_EVERY_MS = 20;

const leaving = new WeakSet<object>();
const streams = new WeakMap<object, Set<ServerResponse>>();

const serverOf = (request: IncomingMessage): { readonly listening?: boolean } | undefined =>
  (request.socket as Socket & { readonly server?: object }).server;

/** Whether an answer to this request should be the last one on its connection. */
export function isLeaving(request: IncomingMessage): boolean {
  const server = serverOf(request);
  return server !== undefined && (leaving.has(server) || server.listening === false);
}

/** An answer that goes on without end: it is ended when its server leaves, so that the reader finds another one. */
export function noteStream(request: IncomingMessage, response: ServerResponse): void {
  const server = serverOf(request);
  if (server === undefined) return;
  const open = streams.get(server) ?? new Set();
  streams.set(server, open.add(response));
  response.once("close", () => open.delete(response));
}

/**
 * Stops serving without breaking a request. From now on every answer asks for its connection to be closed; a connection that nobody
 * uses meanwhile is closed after `lameMs`. Until then the listener stays open, unless it is shared: a client that was told to
 * close would be refused if it came straight back. Streams without end are ended last, and what hangs is cut off.
 */
export async function leave(server: Server, { lameMs, withinMs, shared }: Leaving): Promise<void> {
  leaving.add(server);
  const over = new AbortController();
  const closed = new Promise<void>((resolve) => server.once("close", resolve));
  if (shared) closeListener(server);
  await untilUnused(server, lameMs, over.signal);
  if (!shared) await closeBetweenAccepts(server);
  for (const response of streams.get(server) ?? []) response.destroy();
  server.closeIdleConnections();
  await Promise.race([closed, pause(withinMs, over.signal)]);
  over.abort();
  cutConnections(server);
  await closed;
}

/** The listener alone: `http.Server.close` would cut idle connections at once, and with them a request that is on its way. */
const closeListener = (server: Server): void => void NetServer.prototype.close.call(server);

/** What the kernel has taken for us is accepted first: right after the poll for events nothing waits there. */
function closeBetweenAccepts(server: Server): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(() =>
      setImmediate(() => {
        closeListener(server);
        resolve();
      }),
    );
  });
}

/** Until no connection but those of streams is open, or the time is over. */
async function untilUnused(server: Server, ms: number, signal: AbortSignal): Promise<void> {
  const until = performance.now() + ms;
  while (performance.now() < until) {
    const open = await new Promise<number>((resolve) => server.getConnections((error, count) => resolve(error === null ? count : 0)));
    if (open <= (streams.get(server)?.size ?? 0)) return;
    await pause(LOOK_EVERY_MS, signal);
  }
}
