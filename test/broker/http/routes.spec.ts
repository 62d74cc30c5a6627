import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { ROUTES } from "../../../broker/http/routes.ts";
import type { Route } from "../../../broker/http/route.ts";
import { ROLES, type Role } from "../../../broker/services.ts";
import { newId } from "../../../domain/ids.ts";
import { ProblemView, TOKEN_EXCHANGE, TOKEN_TYPES } from "../../../domain/wire.ts";
import { startHttp, type TestHttp } from "../../support/http.ts";
import { CREDENTIAL, EVIDENCE, LEASE_ID, OPERATORS, REVOCATION_ID, TASK_ID, TASK_TOKEN, VERIFIER } from "../../support/memory-services.ts";

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
const BODIES: Readonly<Record<string, unknown>> = {
  "POST /v1/tasks": { purpose: "release", ttl: "30m", heartbeat: 60 },
  "POST /v1/tasks/{id}/credentials": { grant: "deploy-prod", scope: ["deploy:write"] },
  "POST /v1/tasks/{id}/complete": { outcome: "success" },
  "POST /v1/leases/{id}/close": { reason: "the target is gone" },
  "POST /v1/revocations": { selector: { workload: "github/acme/shop" }, reason: "INC-1", lock: "24h" },
  "POST /v1/locks": { selector: { all: true }, ttl: "1h", reason: "INC-1" },
  "POST /v1/hold": { action: "clear", reason: "looked" },
  "POST /v1/keys": { action: "withdraw", kid: "k".repeat(43), reason: "leaked" },
  "POST /v1/policy/check": { grant: "deploy-prod", trust: "github", claims: {} },
  "POST /v1/policy/explain": { grant: "deploy-prod", trust: "github", claims: {} },
  "POST /v1/feed/used": { instance: "api-1", uses: [{ lease: LEASE_ID, at: 1795000000123, outcome: "accepted", route: "POST /deploy" }] },
  "POST /v1/feed/seen": { instance: "api-1", position: "cG9z", max_staleness: 15, applied_at: 1795000000123 },
  "POST /v1/authorize": { token: CREDENTIAL, method: "POST", path: "/deploy" },
  "POST /access/v1/evaluation": {
    action: { name: "GET" },
    resource: { type: "route", id: "/" },
    subject: { type: "token", id: CREDENTIAL },
  },
  "POST /access/v1/evaluations": {
    action: { name: "GET" },
    subject: { type: "token", id: CREDENTIAL },
    evaluations: [{ resource: { type: "route", id: "/" } }],
  },
  "POST /v1/policy/simulate": { files: [{ name: "a.yaml", text: "kind: Grant" }] },
};
const FORMS: Readonly<Record<string, Record<string, string>>> = {
  "POST /oauth2/token": { grant_type: TOKEN_EXCHANGE, subject_token: EVIDENCE, subject_token_type: TOKEN_TYPES.jwt },
  "POST /oauth2/introspect": { token: CREDENTIAL, client_id: VERIFIER.name, client_secret: VERIFIER.key },
  "POST /oauth2/revoke": { token: CREDENTIAL },
};
const TOKENS: Readonly<Record<string, string>> = { "POST /v1/tasks": EVIDENCE, "GET /v1/whoami": EVIDENCE };
const label = (route: Route): string => `${route.method} ${route.path}`;
const ID = {
  leases: LEASE_ID,
  tasks: TASK_ID,
  revocations: REVOCATION_ID,
  locks: newId("lock", 0),
  denials: newId("den", 0),
  "{id}": "498612-0",
} as const;

let http: TestHttp;
beforeAll(async () => {
  http = await startHttp();
});
afterAll(() => http.close());

function tokenFor(route: Route): string | undefined {
  if (route.access === "verifier") return route.encoding === "form" ? undefined : `${VERIFIER.name}:${VERIFIER.key}`;
  if (route.access === "open") return undefined;
  if (route.access === "bearer") return TOKENS[label(route)] ?? TASK_TOKEN;
  return route.access === "holder" ? OPERATORS.viewer : OPERATORS[route.access];
}

function request(route: Route, token: string | undefined, ids: Readonly<Record<string, string>> = ID): Promise<Response> {
  const path = route.path
    .replace("{id}", ids[route.path.split("/")[2] ?? ""] ?? "")
    .replace("{code}", "locked")
    .replace("{target}", "shop-db")
    .replace("{document}", "list");
  const headers = token === undefined ? {} : bearer(token);
  if (route.method !== "POST") return http.fetch(path, { method: route.method, headers });
  const form = FORMS[label(route)];
  return form === undefined ? http.json(path, BODIES[label(route)] ?? {}, headers) : http.form(path, form, headers);
}

const served = ROUTES.filter(({ path }) => path !== "/v1/events" && path !== "/v1/feed");
const guarded = served.filter(({ access }) => access !== "open" && access !== "verifier");

describe("every route", () => {
  it.each(served.map((route) => ({ name: label(route), route })))("$name answers what it declares, and nothing more", async ({ route }) => {
    if (route.path === "/v1/locks/{id}" || route.path === "/v1/denials/{id}") return; // below: they need something made first
    const response = await request(route, tokenFor(route));
    expect(Object.keys(route.answers)).toContain(String(response.status));
    expect(response.status).toBeLessThan(300);
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(response.headers.get("x-powered-by")).toBeNull();
    const schema = route.answers[response.status];
    if (schema === null || schema === undefined) expect(await response.text()).not.toBe(response.status === 204 ? "-" : "");
    else schema.parse(await response.json());
  });

  it.each(guarded.map((route) => ({ name: label(route), route })))(
    "$name refuses a caller without a token, before it reads the body",
    async ({ route }) => {
      const path = route.path.replace("{id}", "x");
      const init = route.method === "POST" ? { body: "{", headers: { "content-type": "text/plain" } } : {};
      const response = await http.fetch(path, { method: route.method, ...init });
      expect(response.status).toBe(401);
      expect(response.headers.get("www-authenticate")).toBe('Bearer realm="stint"');
      expect(ProblemView.parse(await response.json()).code).toBe("unauthenticated");
    },
  );
});

describe("a route for verifiers", () => {
  const verifiers = ROUTES.filter(({ access, encoding }) => access === "verifier" && encoding === undefined);

  it.each(verifiers.map((route) => ({ name: label(route), route })))(
    "$name refuses a wrong key before a byte of the body has come",
    async ({ route }) => {
      http.clock.advance({ minutes: 2 }); // ten of these in a minute would be answered 429
      const head = [
        `${route.method} ${route.path} HTTP/1.1`,
        "Host: 127.0.0.1",
        `Authorization: Bearer ${VERIFIER.name}:wrong`,
        ...(route.method === "POST" ? ["Content-Type: text/plain", "Content-Length: 60000"] : []),
      ];
      const answer = await http.raw(`${head.join("\r\n")}\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1\.1 401 /);
      expect(answer).toContain('"code":"invalid_client"');
    },
  );

  it("knows its caller before it looks at what was sent", async () => {
    const wrong = await http.json("/v1/feed/seen", "{", bearer(`${VERIFIER.name}:wrong`));
    const right = await http.json("/v1/feed/seen", "{", bearer(`${VERIFIER.name}:${VERIFIER.key}`));
    expect([wrong.status, right.status]).toEqual([401, 400]);
  });
});

describe("an operator", () => {
  const rank = (role: Role): number => ROLES.indexOf(role);
  const isRole = (access: string): access is Role => (ROLES as readonly string[]).includes(access);
  const rows = served.flatMap((route) =>
    isRole(route.access) ? ROLES.map((role) => ({ name: `${role} at ${label(route)}`, route, role, needs: route.access as Role })) : [],
  );

  it.each(rows)("$name is let in exactly when the role reaches", async ({ route, role, needs }) => {
    const response = await request(route, OPERATORS[role]);
    if (rank(role) >= rank(needs)) expect(response.status).not.toBe(403);
    else {
      expect(response.status).toBe(403);
      expect(ProblemView.parse(await response.json()).code).toBe("insufficient_role");
    }
  });

  it.each(served.filter(({ access }) => isRole(access)).map((route) => ({ name: label(route), route })))(
    "is not a workload with good evidence: $name",
    async ({ route }) => {
      http.clock.advance({ minutes: 2 }); // ten of these in a minute would be answered 429
      expect((await request(route, EVIDENCE)).status).toBe(401);
    },
  );

  it("adds a lock, sees it, pages through all, takes it away once", async () => {
    const made: string[] = [];
    for (const ttl of ["1h", 60, "2h"]) {
      const response = await http.json(
        "/v1/locks",
        { selector: { workload: "github/acme/shop" }, ttl, reason: "INC-1", message: "call us" },
        bearer(OPERATORS.responder),
      );
      expect(response.status).toBe(201);
      const lock = (await response.json()) as { id: string; selector: unknown };
      expect(lock.selector).toEqual({ workload: "github/acme/shop" });
      expect(response.headers.get("location")).toBe(`/v1/locks/${lock.id}`);
      made.push(lock.id);
    }
    const seen: string[] = [];
    for (let cursor: string | null = ""; cursor !== null;) {
      const page = (await (
        await http.fetch(`/v1/locks?limit=1${cursor === "" ? "" : `&cursor=${cursor}`}`, { headers: bearer(OPERATORS.viewer) })
      ).json()) as { items: { id: string }[]; next_cursor: string | null };
      expect(page.items.length).toBeLessThanOrEqual(1);
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.next_cursor;
    }
    expect(seen).toEqual(expect.arrayContaining(made));
    const remove = (): Promise<Response> => http.fetch(`/v1/locks/${made[0]}`, { method: "DELETE", headers: bearer(OPERATORS.responder) });
    expect((await remove()).status).toBe(200);
    expect((await remove()).status).toBe(404);
  });

  it("plans a revocation before making it", async () => {
    const plan = await http.json(
      "/v1/revocations",
      { selector: { all: true }, reason: "INC-1", dry_run: true },
      bearer(OPERATORS.responder),
    );
    expect([plan.status, await plan.json()]).toEqual([200, expect.objectContaining({ dry_run: true, matched: 1, truncated: false })]);
  });

  it("must say whose claims it supposes, and a workload may not suppose any", async () => {
    const operator = await http.json("/v1/policy/check", { grant: "deploy-prod" }, bearer(OPERATORS.viewer));
    expect([operator.status, ((await operator.json()) as { code: string }).code]).toEqual([400, "invalid_request"]);
    const workload = await http.json(
      "/v1/policy/check",
      { grant: "deploy-prod", trust: "github", claims: { repository_id: "1" } },
      bearer(EVIDENCE),
    );
    expect([workload.status, ((await workload.json()) as { code: string }).code]).toEqual([403, "insufficient_role"]);
    const own = await http.json("/v1/policy/check", { grant: "deploy-prod" }, bearer(EVIDENCE));
    expect([own.status, await own.json()]).toEqual([200, expect.objectContaining({ allowed: true, expires_in: 600 })]);
  });
});

describe("a body or a query", () => {
  const responder = bearer(OPERATORS.responder);
  it.each([
    { name: "an unknown member", path: "/v1/locks", body: { selector: { all: true }, ttl: "1h", reason: "x", colour: "red" } },
    { name: "two selectors", path: "/v1/revocations", body: { selector: { all: true, grant: "a" }, reason: "x" } },
    { name: "no selector", path: "/v1/revocations", body: { selector: {}, reason: "x" } },
    { name: "all: false", path: "/v1/revocations", body: { selector: { all: false }, reason: "x" } },
    { name: "no reason", path: "/v1/revocations", body: { selector: { all: true } } },
    { name: "a span that is none", path: "/v1/locks", body: { selector: { all: true }, ttl: "tomorrow", reason: "x" } },
    { name: "a list in place of an object", path: "/v1/locks", body: [] },
    { name: "a member twice", path: "/v1/locks", body: '{"reason":"a","reason":"b"}' },
    { name: "__proto__", path: "/v1/locks", body: '{"__proto__":{"isAdmin":true}}' },
    { name: "20 levels", path: "/v1/locks", body: `${'{"a":'.repeat(20)}1${"}".repeat(20)}` },
    { name: "no JSON", path: "/v1/locks", body: "selector=all" },
    {
      name: "an escape sequence in the reason",
      path: "/v1/locks",
      body: { selector: { all: true }, ttl: "1h", reason: "\u001b]0;x\u0007" },
    },
  ])("is refused with $name", async ({ path, body }) => {
    const response = await http.json(path, body, responder);
    expect(response.status).toBe(400);
    expect(ProblemView.parse(await response.json()).code).toBe("invalid_request");
    expect(({} as Record<string, unknown>)["isAdmin"]).toBeUndefined();
  });

  it.each([
    { name: "limit 0", query: "limit=0" },
    { name: "limit 1001", query: "limit=1001" },
    { name: "limit x", query: "limit=x" },
    { name: "an unknown parameter", query: "access_token=abc" },
    { name: "a parameter twice", query: "state=active&state=revoked" },
    { name: "an unknown state", query: "state=dead" },
    { name: "brackets", query: "state[]=active" },
    { name: "an upper-case hash", query: `credential_sha256=${"A".repeat(64)}` },
  ])("is refused with $name", async ({ query }) => {
    const response = await http.fetch(`/v1/leases?${query}`, { headers: responder });
    expect(response.status).toBe(400);
    expect(ProblemView.parse(await response.json()).code).toBe("invalid_request");
  });

  it("says which member was wrong and never what it held", async () => {
    const response = await http.json("/v1/locks", { selector: { all: true }, ttl: "1h", reason: 7, message: "s3cret-\u0007" }, responder);
    const body = ProblemView.parse(await response.json());
    expect(body.errors?.map(({ path }) => path)).toEqual(["reason", "message"]);
    expect(JSON.stringify(body)).not.toContain("s3cret");
  });

  it("may be absent where nothing is needed", async () => {
    const response = await http.fetch(`/v1/tasks/${TASK_ID}/heartbeat`, { method: "POST", headers: bearer(TASK_TOKEN) });
    expect(response.status).toBe(200);
  });

  it.each([
    { name: "a form", headers: { "content-type": "application/x-www-form-urlencoded" }, status: 415 },
    { name: "no type", headers: { "content-type": "" }, status: 415 },
    { name: "utf-16", headers: { "content-type": "application/json; charset=utf-16" }, status: 415 },
    { name: "gzip", headers: { "content-type": "application/json", "content-encoding": "gzip" }, status: 415 },
    { name: "utf-8, said aloud", headers: { "content-type": 'Application/JSON; charset="UTF-8"' }, status: 201 },
  ])("of type $name is answered $status", async ({ headers, status }) => {
    const response = await http.json("/v1/locks", BODIES["POST /v1/locks"], { ...responder, ...headers });
    expect(response.status).toBe(status);
  });
});

describe("an id", () => {
  it.each(["unknown", "malformed", "of another kind", "with a traversal"])(
    "that is %s gets the same answer as a foreign one",
    async (kind) => {
      const id =
        { unknown: newId("lease", 1), malformed: "lease_", "of another kind": TASK_ID, "with a traversal": "..%2F..%2Fetc" }[kind] ?? "";
      const foreign = await http.fetch(`/v1/leases/${LEASE_ID}`, { headers: bearer("a.b.c") });
      const asked = await http.fetch(`/v1/leases/${id}`, { headers: bearer(TASK_TOKEN) });
      const strip = async (response: Response): Promise<unknown> => ({
        ...((await response.json()) as object),
        trace_id: "",
        instance: "",
      });
      expect([asked.status, await strip(asked)]).toEqual([foreign.status, await strip(foreign)]);
      expect(asked.status).toBe(404);
    },
  );

  it("opens a lease to its task, its own credential and an operator", async () => {
    for (const token of [TASK_TOKEN, CREDENTIAL, OPERATORS.viewer]) {
      const response = await http.fetch(`/v1/leases/${LEASE_ID}`, { headers: bearer(token) });
      expect([response.status, ((await response.json()) as { id: string }).id]).toEqual([200, LEASE_ID]);
    }
  });

  it("is not found where no route is, and refused with Allow where the method is wrong", async () => {
    expect((await http.fetch("/v1/nothing")).status).toBe(404);
    expect((await http.fetch("/V1/leases", { headers: bearer(OPERATORS.viewer) })).status).toBe(404);
    expect((await http.fetch("/v1/leases/", { headers: bearer(OPERATORS.viewer) })).status).toBe(404);
    const wrong = await http.fetch("/v1/leases", { method: "DELETE" });
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS"]);
    const put = await http.fetch("/oauth2/token", { method: "PUT", body: "x" });
    expect([put.status, put.headers.get("content-type"), ((await put.json()) as { code: string }).code]).toEqual([
      405,
      "application/json",
      "method_not_allowed",
    ]);
    const head = await http.fetch("/v1/leases", { method: "HEAD", headers: bearer(OPERATORS.viewer) });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });
});
