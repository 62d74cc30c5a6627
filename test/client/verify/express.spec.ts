import { describe, expect, it } from "@jest/globals";
import express, { type Express } from "express";
import { once } from "node:events";
import { request as rawRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { type ProtectOptions, protect, requireScope, requireTask, resourceMetadataHandler } from "../../../client/verify/express.ts";
import { type TestIssuer, type VerifierLogEntry, type VerifierOptions, createTestIssuer } from "../../../client/verify/index.ts";

interface Api extends AsyncDisposable {
  readonly url: string;
  readonly idp: TestIssuer;
  readonly log: VerifierLogEntry[];
  get(path: string, token?: string, headers?: Readonly<Record<string, string>>): Promise<Response>;
}

/** The README's API: everything needs a token, deploying needs a scope. */
async function api(options: Partial<VerifierOptions & ProtectOptions> = {}, more: (app: Express) => void = () => undefined): Promise<Api> {
  const idp = await createTestIssuer();
  const log: VerifierLogEntry[] = [];
  const guard = protect({ ...idp.options, realm: "deploy", log: (entry) => log.push(entry), ...options });
  await guard.verifier.ready();
  const app = express();
  app.use(resourceMetadataHandler(guard.verifier, { scopes: ["deploy:write"], name: "Deploy" }));
  app.use(express.urlencoded());
  app.use(guard);
  app.get("/whoami", (request, response) => void response.json(request.auth));
  app.post("/form", (request, response) => void response.json(request.auth?.payload.sub));
  app.get(
    "/deploy/:id",
    requireScope("deploy:write"),
    (request, response) => void response.json({ lease: request.auth?.payload.lease_id }),
  );
  app.get("/both", requireScope("deploy:write", "deploy:read"), (_request, response) => void response.json({}));
  app.get(
    "/tasks/:id",
    requireTask((request) => new URL(request.url, "http://x").pathname.split("/")[2]),
    (_request, response) => void response.json({}),
  );
  app.get("/task", requireTask(), (_request, response) => void response.json({}));
  more(app);
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    idp,
    log,
    get: (path, token, headers = {}) =>
      fetch(`${url}${path}`, { headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...headers } }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await guard.verifier.close();
      await idp[Symbol.asyncDispose]();
    },
  };
}

const challenge = (response: Response): string | null => response.headers.get("www-authenticate");

describe("protect", () => {
  it("lets a good token in, with auth as users of express-oauth2-jwt-bearer know it", async () => {
    await using it = await api();
    const token = await it.idp.token({ scope: "deploy:write deploy:read" });
    const response = await it.get("/whoami", token);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      token,
      header: { alg: "ES256", typ: "at+jwt" },
      payload: { sub: "test:1", scope: "deploy:write deploy:read" },
    });
    expect((await it.get("/whoami", undefined, { authorization: `bearer  ${token} ` })).status).toBe(200);
  });

  it("answers no token with 401 and a challenge without an error", async () => {
    await using it = await api();
    for (const headers of [{}, { authorization: "Basic dXNlcjpwYXNz" }, { authorization: "" }]) {
      const response = await it.get("/whoami", undefined, headers);
      expect([response.status, challenge(response), await response.text()]).toEqual([401, 'Bearer realm="deploy"', ""]);
      expect(response.headers.get("cache-control")).toBe("no-store");
    }
  });

  it("answers a bad, expired or revoked token with invalid_token, one challenge, and the reason in the log with its lease", async () => {
    await using it = await api();
    const lease = "lease_01m80000000000000000000000";
    const [good, revoked] = [await it.idp.token(), await it.idp.token({ lease })];
    await it.idp.revoke(revoked);
    const answer = await it.get("/whoami", revoked);
    expect([answer.status, challenge(answer)]).toEqual([
      401,
      'Bearer realm="deploy", error="invalid_token", error_description="the token was revoked"',
    ]);
    expect(await answer.json()).toEqual({ error: "invalid_token", error_description: "the token was revoked" });
    expect(it.log.at(-1)).toMatchObject({ event: "refused", reason: "revoked", lease });
    await it.idp.advance("11m");
    expect(challenge(await it.get("/whoami", good))).toBe(
      'Bearer realm="deploy", error="invalid_token", error_description="the token has expired"',
    );
    expect(challenge(await it.get("/whoami", "a.b.c"))).toBe(
      'Bearer realm="deploy", error="invalid_token", error_description="the token is malformed"',
    );
    expect((await it.get("/whoami", await it.idp.token({ audience: "https://other.test" }))).status).toBe(401);
  });

  it("answers all bad tokens alike when errors are minimal", async () => {
    await using it = await api({ errors: "minimal" });
    const revoked = await it.idp.token();
    await it.idp.revoke(revoked);
    const answers = await Promise.all(
      [revoked, "a.b.c", await it.idp.token({ audience: "x" }), await it.idp.token({ claims: { cnf: { jkt: "x" } } })].map(
        async (token) => {
          const response = await it.get("/whoami", token);
          return [response.status, challenge(response), await response.text()];
        },
      ),
    );
    for (const answer of answers)
      expect(answer).toEqual([401, 'Bearer realm="deploy", error="invalid_token"', '{"error":"invalid_token"}']);
    expect(new Set(it.log.filter(({ event }) => event === "refused").map(({ reason }) => reason))).toEqual(
      new Set(["revoked", "malformed", "wrong_audience", "proof_needed"]),
    );
  });

  it("answers a scope that is too small with 403 and all that are needed", async () => {
    await using it = await api();
    const response = await it.get("/both", await it.idp.token({ scope: "deploy:read" }));
    expect([response.status, challenge(response)]).toEqual([
      403,
      'Bearer realm="deploy", scope="deploy:write deploy:read", error="insufficient_scope", error_description="the token\'s scope is too small"',
    ]);
    expect((await it.get("/both", await it.idp.token({ scope: "deploy:read deploy:write x" }))).status).toBe(200);
    expect((await it.get("/deploy/7", await it.idp.token({ scope: "deploy:writer" }))).status).toBe(403);
    expect(it.log.filter(({ reason }) => reason === "insufficient_scope")).toHaveLength(2);
  });

  it("answers requests that say it twice, or wrongly, with 400 invalid_request", async () => {
    await using it = await api();
    const token = await it.idp.token();
    const malformed = await it.get("/whoami", undefined, { authorization: "Bearer" });
    expect([malformed.status, challenge(malformed)]).toEqual([
      400,
      'Bearer realm="deploy", error="invalid_request", error_description="the Authorization header is not of the form: Bearer token"',
    ]);
    expect((await it.get("/whoami", undefined, { authorization: "Bearer a b" })).status).toBe(400);
    expect((await it.get("/whoami", undefined, { authorization: `Bearer ${token}, Bearer ${token}` })).status).toBe(400);
    expect(await twice(`${it.url}/whoami`, token)).toBe(400);
    const form = await fetch(`${it.url}/form`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: new URLSearchParams({ access_token: token }),
    });
    expect([form.status, challenge(form)]).toEqual([
      400,
      'Bearer realm="deploy", error="invalid_request", error_description="the access token was sent more than once"',
    ]);
  });

  it("refuses a token in a URL, with or without one in the header, and reports it", async () => {
    await using it = await api();
    const token = await it.idp.token();
    for (const path of [`/whoami?access_token=${token}`, `/whoami?x=1&%61ccess_token=${token}`]) {
      for (const header of [undefined, token]) {
        const response = await it.get(path, header);
        expect(response.status).toBe(400);
        expect(await response.text()).not.toContain(token);
      }
    }
    expect(it.log.filter(({ event, level }) => event === "query_token" && level === "warn")).toHaveLength(4);
    expect(JSON.stringify(it.log)).not.toContain(token);
  });

  it("does not take a token from a form", async () => {
    await using it = await api();
    const form = await fetch(`${it.url}/form`, { method: "POST", body: new URLSearchParams({ access_token: await it.idp.token() }) });
    expect([form.status, challenge(form)]).toEqual([401, 'Bearer realm="deploy"']);
  });

  it("answers 503 without a challenge when it knows too little, and recovers", async () => {
    await using it = await api({ maxStaleness: "15s" });
    const token = await it.idp.token();
    it.idp.goDark();
    await it.idp.advance("15s");
    expect((await it.get("/whoami", token)).status).toBe(200);
    await it.idp.advance("1s");
    const response = await it.get("/whoami", token);
    expect([response.status, challenge(response), response.headers.get("retry-after")]).toEqual([503, null, "1"]);
    expect(await response.json()).toMatchObject({ error: "temporarily_unavailable" });
    it.idp.comeBack();
    await it.idp.advance("0s");
    for (let tries = 0; tries < 100 && (await it.get("/whoami", token)).status !== 200; tries++)
      await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await it.get("/whoami", token)).status).toBe(200);
  });

  it("keeps its quotes whatever realm it is given", async () => {
    await using it = await api({ realm: 'say "hi"\\ \u2028€' });
    expect(challenge(await it.get("/whoami"))).toBe('Bearer realm="say  hi     "');
  });

  it("says where its metadata is, and answers there (RFC 9728)", async () => {
    await using it = await api({ resourceMetadata: "https://api.test/.well-known/oauth-protected-resource" });
    expect(challenge(await it.get("/whoami"))).toBe(
      'Bearer realm="deploy", resource_metadata="https://api.test/.well-known/oauth-protected-resource"',
    );
    const response = await it.get("/.well-known/oauth-protected-resource");
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/json"]);
    expect(await response.json()).toEqual({
      resource: "https://api.test",
      authorization_servers: ["https://stint.test"],
      bearer_methods_supported: ["header"],
      scopes_supported: ["deploy:write"],
      resource_name: "Deploy",
    });
  });

  it("reports uses by the route's pattern, and uses of what was revoked", async () => {
    await using it = await api();
    const token = await it.idp.token({ scope: "deploy:write" });
    const { lease } = (await (await it.get("/deploy/secret-name", token)).json()) as { lease: string };
    await it.get("/deploy/other-name", token);
    await it.idp.revoke(token);
    await it.get("/deploy/other-name", token);
    await it[Symbol.asyncDispose]();
    expect(it.idp.uses).toEqual([
      { lease, at: it.idp.clock.now(), outcome: "accepted", count: 2, route: "GET /deploy/:id", source: "127.0.0.1" },
      { lease, at: it.idp.clock.now(), outcome: "ended", count: 1, source: "127.0.0.1" },
    ]);
  });
});

describe("requireTask", () => {
  it("lets only the task's own token near it", async () => {
    await using it = await api();
    const task = "task_01m80000000000000000000000";
    const token = await it.idp.token({ claims: { task_id: task } });
    expect((await it.get(`/tasks/${task}`, token)).status).toBe(200);
    const other = await it.get("/tasks/task_01m80000000000000000000001", token);
    expect([other.status, challenge(other)]).toEqual([
      403,
      'Bearer realm="deploy", error="insufficient_scope", error_description="the token does not belong to the task that is needed"',
    ]);
    expect((await it.get("/task", token)).status).toBe(200);
    expect((await it.get("/task", await it.idp.token({ claims: { task_id: undefined } }))).status).toBe(403);
  });
});

describe("a mistake in the wiring", () => {
  it("lets nobody in: requireScope without protect before it is an error", async () => {
    const app = express();
    app.get("/", requireScope("a"), (_request, response) => void response.json({}));
    app.use(
      ((error: Error, _request, response, _next) => void response.status(500).json(error.message)) satisfies express.ErrorRequestHandler,
    );
    const server = app.listen(0, "127.0.0.1");
    await once(server, "listening");
    const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    expect([response.status, await response.json()]).toEqual([
      500,
      "requireScope and requireTask need protect() before them on the same route",
    ]);
    server.close();
    expect(() => requireScope()).toThrow("requireScope needs at least one scope");
  });
});

/** Two Authorization headers, as no client library would send them. */
async function twice(url: string, token: string): Promise<number | undefined> {
  const sent = rawRequest(url, {
    headers: ["authorization", `Bearer ${token}`, "Authorization", `Bearer ${token}`],
  });
  sent.end();
  const [response] = (await once(sent, "response")) as [{ statusCode?: number; resume(): void }];
  response.resume();
  return response.statusCode;
}
