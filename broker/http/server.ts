import { type Server, createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { Duplex } from "node:stream";
import type { Express } from "express";
import { boundConnections } from "./connections.ts";

/** What our own TLS listener needs, as PEM. With `clientCa` clients may present certificates. */
export interface Tls {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  readonly clientCa?: string | Buffer | undefined;
}

/**
 * Half a request may stand open for 10 s: half-open connections are gone within 15 s. They are looked for often, so that however many
 * came together, those that are closed in one go keep nobody waiting.
 */
const LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 200,
  keepAliveTimeout: 65_000,
  // a token of 16 KiB in Authorization must fit
  maxHeaderSize: 32_768,
  requireHostHeader: true,
};

/** A TLS handshake may take as long. Node's headersTimeout begins after it. */
const HANDSHAKE_MS = 10_000;
/** A connection on which nothing moves for so long is cut off: an answer that is not read, or one that does not come. */
const STALLED_MS = 30_000;
const MAX_CONNECTIONS = 20_000;

/** The HTTP server of an app. */
export function createServer(app: Express, tls?: Tls): Server {
  const server =
    tls === undefined
      ? createHttpServer(LIMITS, app)
      : createHttpsServer(
          {
            ...LIMITS,
            cert: tls.cert,
            key: tls.key,
            handshakeTimeout: HANDSHAKE_MS,
            minVersion: "TLSv1.2",
            ...(tls.clientCa === undefined ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: false }),
          },
          app,
        );
  // beyond this Node drops headers silently; our own guard refuses far fewer
  server.maxHeadersCount = 0;
  server.setTimeout(STALLED_MS);
  boundConnections(server, MAX_CONNECTIONS);
  server.on("clientError", refuseBroken);
  // nobody would hear an answer: it waits for the handshake, and the connection would wait with it for ever
  server.on("tlsClientError", (_error: Error, socket: Duplex) => socket.destroy());
  return server;
}

const MALFORMED = broken("400 Bad Request");
const BROKEN: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: broken("431 Request Header Fields Too Large"),
  ERR_HTTP_REQUEST_TIMEOUT: broken("408 Request Timeout"),
};

/** What is not HTTP gets one short answer and the connection is closed: whatever follows on it can't be trusted. */
function refuseBroken(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === "ECONNRESET") socket.destroy();
  else socket.end(BROKEN[error.code ?? ""] ?? MALFORMED);
}

function broken(status: string): string {
  const body = JSON.stringify({
    type: "about:blank",
    title: status.slice(4),
    status: Number(status.slice(0, 3)),
    detail: "the request is not well-formed HTTP/1.1",
    code: "invalid_request",
    retryable: false,
  });
  return `HTTP/1.1 ${status}\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`;
}
