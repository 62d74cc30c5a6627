import type { IncomingMessage } from "node:http";
import { StintError } from "../../domain/errors.ts";
import { MethodNotAllowed } from "./method-not-allowed.ts";
import type { Answer, Route } from "./route.ts";

/** What answers when no route did: 404, 405 with Allow, or OPTIONS. */
export type Unmatched = (request: IncomingMessage) => Answer;

/**
 * Compares the path with every template of the table. `OPTIONS` names the methods; for shared documents it also answers a
 * browser's preflight. Everything else gets no CORS, so a browser of another origin stops there.
 */
export function unmatched(routes: readonly Route[]): Unmatched {
  const templates = routes.map((route) => ({ route, parts: route.path.split("/") }));
  return (request) => {
    const parts = (request.url ?? "").split("?", 1)[0]?.split("/") ?? [];
    const fitting = templates.filter((template) => fits(template.parts, parts)).map(({ route }) => route);
    if (fitting.length === 0) throw new StintError("not_found", "there is no such path");
    const allow = [...new Set(fitting.flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method]))), "OPTIONS"].join(", ");
    if (request.method !== "OPTIONS") throw new MethodNotAllowed(allow);
    const preflight = fitting.every(({ shared }) => shared === true)
      ? ["Access-Control-Allow-Origin", "*", "Access-Control-Allow-Methods", "GET, HEAD", "Access-Control-Max-Age", "86400"]
      : [];
    return { status: 204, headers: ["Allow", allow, ...preflight] };
  };
}

function fits(template: readonly string[], path: readonly string[]): boolean {
  return path.length === template.length && template.every((part, at) => (part.startsWith("{") ? path[at] !== "" : part === path[at]));
}
