import { z } from "zod";
import { auditRoutes } from "./audit.ts";
import { authorizeRoutes } from "./authorize.ts";
import { authzenRoutes } from "./authzen.ts";
import { discoveryRoutes } from "./discovery.ts";
import { eventsRoute } from "./events.ts";
import { feedRoutes } from "./feed.ts";
import { healthRoutes } from "./health.ts";
import { houseRoutes } from "./house.ts";
import { introspectRoute, revokeRoute } from "./introspect.ts";
import { leaseRoutes } from "./leases.ts";
import { policyRoutes } from "./policy.ts";
import { problemRoute } from "./problems.ts";
import { lockRoutes, revocationRoutes } from "./revocations.ts";
import { type Route, route } from "./route.ts";
import { statusRoutes } from "./status.ts";
import { targetRoutes } from "./targets.ts";
import { taskRoutes } from "./tasks.ts";
import { tokenRoute } from "./token.ts";

const openapiRoute = route({
  method: "GET",
  path: "/openapi.json",
  access: "open",
  shared: true,
  summary: "This document.",
  answers: { 200: z.looseObject({ openapi: z.string() }).meta({ id: "OpenApi" }) },
  handle: (_call, { openapi }) => ({
    status: 200,
    body: openapi(),
    type: "application/json",
    headers: ["Cache-Control", "public, max-age=300"],
  }),
});

/** Every route there is, the busiest first: the app serves this table and OpenAPI describes it. */
export const ROUTES: readonly Route[] = [
  tokenRoute,
  introspectRoute,
  revokeRoute,
  ...authorizeRoutes,
  ...authzenRoutes,
  ...discoveryRoutes,
  ...statusRoutes,
  ...taskRoutes,
  ...leaseRoutes,
  ...revocationRoutes,
  ...lockRoutes,
  ...houseRoutes,
  ...policyRoutes,
  ...auditRoutes,
  ...targetRoutes,
  ...feedRoutes,
  eventsRoute,
  ...healthRoutes,
  openapiRoute,
  problemRoute,
];
