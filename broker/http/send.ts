import { hash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { isLeaving, noteStream } from "./leave.ts";
import type { Answer, Streaming } from "./route.ts";

export interface SendFacts {
  readonly traceId: string;
  /** A document that any web page may read. */
  readonly shared: boolean;
}

/** Writes an answer with every header in one go, and tells the status that went out (499 when nobody was there any more). */
export type Send = (request: IncomingMessage, response: ServerResponse, answer: Answer | Streaming, facts: SendFacts) => number;

/** What every response carries: we serve data, so nothing may be framed, sniffed, cached or run. */
const ALWAYS = [
  "X-Content-Type-Options",
  "nosniff",
  "X-Frame-Options",
  "DENY",
  "Referrer-Policy",
  "no-referrer",
  "Content-Security-Policy",
  "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
];
const PRIVATE = ["Cross-Origin-Resource-Policy", "same-origin"];
const SHARED = ["Cross-Origin-Resource-Policy", "cross-origin", "Access-Control-Allow-Origin", "*"];
const HSTS = ["Strict-Transport-Security", "max-age=31536000; includeSubDomains"];

/** Makes the one writer of responses; `https` adds Strict-Transport-Security. */
export function sender(https: boolean): Send {
  const common = https ? [...ALWAYS, ...HSTS] : ALWAYS;
  const closed = [...common, ...PRIVATE];
  const open = [...common, ...SHARED];
  return (request, response, answer, facts) => {
    const headers = facts.shared ? [...open] : [...closed];
    headers.push("X-Stint-Trace-Id", facts.traceId);
    if (isLeaving(request)) headers.push("Connection", "close");
    if (response.headersSent || response.destroyed) {
      response.destroy();
      return 499;
    }
    if ("stream" in answer) {
      headers.push("Content-Type", answer.type ?? "text/event-stream", "Cache-Control", "no-store", "X-Accel-Buffering", "no");
      // events end with their connection; without chunk frames a thousand readers cost a quarter less
      if (answer.type === undefined) {
        response.useChunkedEncodingByDefault = false;
        noteStream(request, response);
      }
      response.writeHead(200, headers);
      answer.stream(response);
      return 200;
    }
    return sendWhole(request, response, answer, headers);
  };
}

function sendWhole(request: IncomingMessage, response: ServerResponse, answer: Answer, headers: string[]): number {
  const extra = answer.headers ?? [];
  headers.push(...extra);
  if (!extra.includes("Cache-Control")) headers.push("Cache-Control", "no-store");
  if (answer.body === undefined) {
    response.writeHead(answer.status, answer.status === 204 || answer.status === 304 ? headers : [...headers, "Content-Length", "0"]);
    response.end();
    return answer.status;
  }
  const { body } = answer;
  const text = (typeof body === "string" && answer.type !== undefined) || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  // documents that may be cached say what they are, so that asking again costs nothing
  if (extra.includes("Cache-Control") && answer.status === 200) {
    const etag = `"${hash("sha256", text, "base64url").slice(0, 22)}"`;
    headers.push("ETag", etag);
    if (request.headers["if-none-match"]?.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag) === true) {
      response.writeHead(304, headers);
      response.end();
      return 304;
    }
  }
  const bytes = Buffer.byteLength(text);
  headers.push("Content-Type", answer.type ?? "application/json", "Content-Length", String(bytes));
  response.writeHead(answer.status, headers);
  // a text of so many bytes as letters is ASCII: it need not be encoded, and goes with the headers as it is
  response.end(text, typeof text === "string" && bytes === text.length ? "latin1" : "utf8");
  return answer.status;
}
