import { bearerChallenge } from "../../actions/proxies.ts";
import { systemClock, type Clock } from "../../domain/time.ts";
import type { ExpressRequest, ExpressResponse, Middleware } from "../verify/express.ts";
import { judge } from "./judge.ts";
import { RouteSource } from "./route-source.ts";

export interface ExactActionsOptions {
  /** `STINT_URL` of the broker, byte for byte. */
  readonly issuer: string;
  /** Name and key of the Verifier document whose routes decide. */
  readonly name: string;
  readonly key: string;
  /** Keep the routes in this file, so that a start needs no broker. */
  readonly routesCache?: string;
  /** What `request.context` holds for a route's `when`. */
  readonly contextOf?: (request: ExpressRequest) => Readonly<Record<string, unknown>>;
  /** Events with their facts; a denial comes with its whole reasoning. Default: nothing. */
  readonly log?: (event: string, facts: Readonly<Record<string, unknown>>) => void;
  readonly fetch?: typeof fetch;
  readonly clock?: Clock;
  /** How often routes are asked for; 10 seconds. */
  readonly refreshMs?: number;
}

export interface ExactActions extends AsyncDisposable {
  /** Goes behind `protect`: requests go on that a route allows, all others are answered here. */
  readonly middleware: Middleware;
  close(): void;
}

/** The verifier's routes as middleware: read from the broker, kept fresh, and decided here on every request. */
export async function exactActions(options: ExactActionsOptions): Promise<ExactActions> {
  const { issuer, name, key, routesCache, contextOf = () => ({}), log = () => undefined, clock = systemClock } = options;
  const source = new RouteSource({ url: issuer, name, key, fetch: options.fetch ?? fetch, cacheFile: routesCache, log });
  await source.refresh();
  await source.restore();
  const timer = setInterval(() => void source.refresh(), options.refreshMs ?? 10_000);
  timer.unref();

  const middleware: Middleware = (request, response, next) => {
    const { auth, method, ip = "" } = request;
    if (auth === undefined) return next(new Error("exactActions needs protect() before it on the same route"));
    const { held } = source;
    if (held === undefined) return refuse(response, 503, { code: "not_ready", message: "the routes are not known yet" });
    const original = { method, target: request.originalUrl ?? request.url, host: hostOf(request), ip };
    const judged = judge({ routes: held.routes, token: auth.payload, original, context: contextOf(request), now: clock() });
    if (judged.allowed) return next();
    log("denied", judged.reasons);
    if (judged.scope !== undefined)
      response.setHeader(
        "WWW-Authenticate",
        bearerChallenge({ realm: held.audience, scope: judged.scope.join(" "), error: "insufficient_scope" }),
      );
    return refuse(response, 403, judged);
  };
  const close = (): void => clearInterval(timer);
  return { middleware, close, [Symbol.asyncDispose]: async () => close() };
}

const hostOf = ({ headers }: ExpressRequest): string => (typeof headers["host"] === "string" ? headers["host"] : "");

function refuse(
  response: ExpressResponse,
  status: 403 | 503,
  { code, message, denialId }: { readonly code: string; readonly message: string; readonly denialId?: string },
): void {
  response.statusCode = status;
  response.setHeader("Content-Type", "application/problem+json");
  response.setHeader("Cache-Control", "no-store");
  if (status === 503) response.setHeader("Retry-After", "1");
  if (denialId !== undefined) response.setHeader("X-Stint-Decision-Id", denialId);
  response.end(
    JSON.stringify({ title: status === 403 ? "Not allowed" : "Not decided", status, detail: message, code, denial_id: denialId }),
  );
}
