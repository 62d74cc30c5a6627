import { z } from "zod";
import { type ZodOpenApiObject, type ZodOpenApiOperationObject, createDocument } from "zod-openapi";
import { OAuthErrorView, ProblemView } from "../../domain/wire.ts";
import type { Access, Route } from "./route.ts";

const FORM = "application/x-www-form-urlencoded";
const IDEMPOTENCY = z
  .string()
  .min(1)
  .max(130)
  .optional()
  .meta({ description: "Quoted or bare, 128 characters at most; kept 24 hours. The same key and body make nothing twice." });
const LAST_EVENT = z.string().max(4096).optional().meta({ description: "Where an earlier connection ended." });

const SECURITY: Readonly<Record<Access, readonly Readonly<Record<string, string[]>>[]>> = {
  open: [],
  bearer: [{ workload: [] }],
  holder: [{ workload: [] }, { operator: [] }],
  verifier: [{ verifier: [] }, { verifierBearer: [] }],
  viewer: [{ operator: [] }],
  approver: [{ operator: [] }],
  responder: [{ operator: [] }],
  admin: [{ operator: [] }],
};

/** The OpenAPI 3.1 document of a route table, made from the schemas that validate. */
export function openapiDocument(
  routes: readonly Route[],
  about: { readonly url: string; readonly version: string },
): ReturnType<typeof createDocument> {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {};
  for (const route of routes) (paths[route.path] ??= {})[route.method.toLowerCase()] = operation(route);
  const document: ZodOpenApiObject = {
    openapi: "3.1.0",
    info: {
      title: "Stint",
      version: about.version,
      description: "Just-in-time credentials for workloads.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: about.url }],
    paths,
    components: {
      securitySchemes: {
        workload: { type: "http", scheme: "bearer", description: "Evidence, a task token, or (for its own lease) a credential." },
        operator: {
          type: "http",
          scheme: "bearer",
          description: "An operator's token; the summary's role reaches downwards: admin, responder, approver, viewer.",
        },
        verifier: {
          type: "http",
          scheme: "basic",
          description: "A Verifier's name and key; also as client_id and client_secret in the form.",
        },
        verifierBearer: { type: "http", scheme: "bearer", description: "name:key of a Verifier." },
      },
    },
  };
  return createDocument(document);
}

function operation(route: Route): ZodOpenApiOperationObject {
  const refusal = route.path.startsWith("/oauth2/")
    ? { "application/json": { schema: OAuthErrorView } }
    : { "application/problem+json": { schema: ProblemView } };
  const answers = Object.entries(route.answers).map(([status, schema]) => [status, { description: status, ...content(schema) }] as const);
  const params = parametersOf(route);
  return {
    summary: route.summary,
    operationId: operationId(route),
    tags: [route.path.startsWith("/v1/") ? (route.path.split("/")[2] ?? "v1") : (route.path.split("/")[1] ?? "")],
    security: SECURITY[route.access].map((scheme) => ({ ...scheme })),
    ...(["viewer", "approver", "responder", "admin"].includes(route.access) ? { description: `Role: ${route.access}.` } : {}),
    ...(params === undefined ? {} : { requestParams: params }),
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: !route.body.safeParse({}).success,
            content: { [route.encoding === "form" ? FORM : "application/json"]: { schema: route.body } },
          },
        }),
    responses: { ...Object.fromEntries(answers), default: { description: "Refused", content: refusal } },
  };
}

const content = (schema: z.ZodType | null) => (schema === null ? {} : { content: { "application/json": { schema } } });

function parametersOf(route: Route): NonNullable<ZodOpenApiOperationObject["requestParams"]> | undefined {
  const names = [...route.path.matchAll(/\{(\w+)\}/g)].flatMap(([, name]) => name ?? []);
  const path = names.length === 0 ? {} : { path: z.object(Object.fromEntries(names.map((name) => [name, z.string()]))) };
  const query = route.query instanceof z.ZodObject ? { query: route.query } : {};
  const header =
    route.method === "POST"
      ? { header: z.object({ "Idempotency-Key": IDEMPOTENCY }) }
      : route.path === "/v1/events" || route.path === "/v1/feed"
        ? { header: z.object({ "Last-Event-ID": LAST_EVENT }) }
        : {};
  const all = { ...path, ...query, ...header };
  return Object.keys(all).length === 0 ? undefined : all;
}

/** `POST /v1/tasks/{id}/complete` is `postV1TasksIdComplete`. */
const operationId = ({ method, path }: Route): string =>
  method.toLowerCase() +
  path
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join("");
