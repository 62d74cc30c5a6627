import { IncomingMessage, ServerResponse } from "node:http";
import express, { type Express, type NextFunction, type Request, type Response } from "express";
import { z } from "zod";
import type { Clock } from "../domain/time.ts";
import { Door } from "./http/authenticate.ts";
import { clientAddress, trustedPeer } from "./http/client-address.ts";
import { clientCertificate } from "./http/client-certificate.ts";
import { healthRoutes } from "./http/health.ts";
import { createLanes, type Lanes } from "./http/lanes.ts";
import { openapiDocument } from "./http/openapi.ts";
import { Pacer } from "./http/pacer.ts";
import { proxyRoutes, type ProxyRoute } from "./http/proxies.ts";
import { type House, type Route, route } from "./http/route.ts";
import { ROUTES } from "./http/routes.ts";
import { sender } from "./http/send.ts";
import { serve } from "./http/serve.ts";
import type { Served } from "./http/served.ts";
import type { ServeOptions } from "./http/serving.ts";
import { unmatched } from "./http/unmatched.ts";
import type { Services } from "./services.ts";

export { leave } from "./http/leave.ts";
export { isShed } from "./http/pacer.ts";
export { createServer, type Tls } from "./http/server.ts";
export { requestLog, type Observe, type RequestLogger } from "./http/request-log.ts";
export type { Served } from "./http/served.ts";

export interface AppOptions {
  readonly clock: Clock;
  /** Of the package, for the OpenAPI document. */
  readonly version: string;
  /** Addresses and CIDR ranges whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
  /** Our own TLS asks clients for certificates. */
  readonly asksForCertificates?: boolean;
  /** How much may be under way at once; what suits one core unless told otherwise. */
  readonly lanes?: Lanes;
  /** Told of every request once it is answered. */
  readonly served: (what: Served) => void;
}

/** Text of all metrics and its content type; undefined when other processes have figures too, and they cannot be had. */
export type Scrape = () => Promise<{ readonly contentType: string; readonly text: string } | undefined>;

/** The whole HTTP outside. Serve it with `createServer`. */
export function createApp(services: Services, options: AppOptions): Express {
  return appOf(ROUTES, services, options, proxyRoutes());
}

/** Health and metrics, for the listener of their own. */
export function createMetricsApp(services: Services, options: AppOptions, scrape: Scrape): Express {
  const metrics = route({
    method: "GET",
    path: "/metrics",
    access: "open",
    summary: "All metrics.",
    answers: { 200: z.string(), 503: null },
    async handle() {
      const scraped = await scrape();
      if (scraped === undefined) return { status: 503, body: "not all workers' figures can be had\n", type: "text/plain; charset=utf-8" };
      return { status: 200, body: scraped.text, type: scraped.contentType };
    },
  });
  return appOf([...healthRoutes, metrics], services, options);
}

function appOf(routes: readonly Route[], services: Services, options: AppOptions, proxies: readonly ProxyRoute[] = []): Express {
  const app = express();
  app.disable("x-powered-by").disable("etag").enable("case sensitive routing").enable("strict routing");
  // Express gives each request and response a prototype with helpers, and V8 slow objects thereby. We use none of the helpers: with
  // Node's own prototypes nothing is swapped, and objects stay as quick as Node makes them.
  Object.assign(app, { request: IncomingMessage.prototype, response: ServerResponse.prototype });
  const serving: ServeOptions = {
    house: houseOf(routes, services, options),
    addressOf: clientAddress(options.trustedProxies),
    certificateOf: clientCertificate(options.trustedProxies),
    fromProxy: trustedPeer(options.trustedProxies),
    send: sender(services.url.startsWith("https:")),
    served: options.served,
  };
  for (const each of routes) {
    const path = each.path.replaceAll(/\{(\w+)\}/g, ":$1");
    const handler = serve(serving, each);
    if (each.method === "GET") app.get(path, handler);
    else if (each.method === "POST") app.post(path, handler);
    else app.delete(path, handler);
  }
  // a proxy asks with whatever method it was asked with, and Envoy with the original path behind its own
  for (const each of proxies) app.use(each.path, serve(serving, each));
  const unmatchedAnswer = unmatched(routes);
  app.use((request: Request, response: Response) =>
    serve(serving, { path: "unmatched", access: "open", handle: () => unmatchedAnswer(request) })(request, response),
  );
  // what express itself refuses: a path that is not UTF-8
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) =>
    serve(serving, {
      path: "unmatched",
      access: "open",
      handle: () => Promise.reject(error instanceof Error ? error : new Error("express refused the request")),
    })(request, response),
  );
  return app;
}

function houseOf(routes: readonly Route[], services: Services, options: AppOptions): House {
  const { clock, version, trustedProxies, asksForCertificates = false } = options;
  let document: string | undefined;
  return {
    services,
    clock,
    door: new Door(services.operators, services.verifiers, clock),
    openapi: () => (document ??= JSON.stringify(openapiDocument(routes, { url: services.url, version }))),
    bindsCertificates: asksForCertificates || trustedProxies.length > 0,
    watchers: { open: 0 },
    lanes: options.lanes ?? createLanes(),
    pacer: new Pacer(),
  };
}
