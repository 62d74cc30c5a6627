import { readFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { Readable } from "node:stream";
import { rootCertificates } from "node:tls";

/**
 * A `fetch` that also trusts the certificates in the file (PEM). Node's own takes extra authorities only when the process
 * starts. Throws when the file cannot be read. Redirects are never followed: a 3xx comes back as it is.
 */
export function fetchTrusting(caFile: string): typeof fetch {
  const ca = [...rootCertificates, readFileSync(caFile, "utf8")];
  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const headers = Object.fromEntries(new Headers(init.headers));
    const options: RequestOptions & { ca?: readonly string[] } = {
      method: init.method ?? "GET",
      headers,
      ...(init.signal ? { signal: init.signal } : {}),
    };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = url.protocol === "https:" ? httpsRequest(url, { ...options, ca }, resolve) : httpRequest(url, options, resolve);
      sent.on("error", reject);
      sent.end(typeof init.body === "string" ? init.body : undefined);
    });
    return toResponse(response);
  };
}

function toResponse(message: IncomingMessage): Response {
  const headers = new Headers();
  for (const [name, value] of Object.entries(message.headers)) for (const one of [value ?? []].flat()) headers.append(name, one);
  const status = message.statusCode ?? 502;
  if (status >= 300 && status < 400) {
    message.destroy();
    throw new TypeError("unexpected redirect");
  }
  const empty = status === 204 || status === 304;
  if (empty) message.resume();
  return new Response(empty ? null : (Readable.toWeb(message) as ReadableStream<Uint8Array>), { status, headers });
}
