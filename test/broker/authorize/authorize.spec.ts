import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { startHttp } from "../../support/http.ts";
import { StintError } from "../../../domain/errors.ts";
import { specsIf } from "../../support/needs.ts";
import type { Shop } from "../../support/shop.ts";
import { ask, BASIC, openGate, tokenOf } from "./gate.ts";

let shop: Shop;
beforeAll(async () => {
  shop = await openGate();
});
afterAll(async () => {
  await shop[Symbol.asyncDispose]();
});
const authorize = (body: object) => ask(shop, "/v1/authorize", body);

describe("POST /v1/authorize", () => {
  it("allows what the first matching route allows, and tells whose token it was", async () => {
    const { token, leaseId } = await tokenOf(shop);
    const { status, body } = await authorize({ token, method: "POST", path: "/deploy/prod?dry=1", host: "deploy.test" });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      decision: true,
      decision_id: expect.stringMatching(/^evt_/),
      rule: "gate.routes[1]",
      subject: "github:456789",
      lease_id: leaseId,
      grant: "deploy",
      scope: "deploy:read deploy:write",
      exp: expect.any(Number),
    });
  });

  it.each([
    ["a scope that the token lacks", { scope: ["deploy:read"] }, "POST", "/deploy/prod", "insufficient_scope", "gate.routes[1]"],
    ["a when that does not hold", { purpose: "" }, "POST", "/deploy/prod", "condition_not_met", "gate.routes[1]"],
    ["a method no route is for", {}, "DELETE", "/deploy/prod", "not_permitted", undefined],
    ["a path no route is for", {}, "GET", "/secrets", "not_permitted", undefined],
    ["an encoded slash", {}, "POST", "/deploy%2fprod", "ambiguous_request", undefined],
    ["a path that climbs", {}, "POST", "/deploy/../secrets", "ambiguous_request", undefined],
    ["a target with an authority", {}, "POST", "http://deploy.test/deploy/prod", "ambiguous_request", undefined],
  ])("denies %s with 200, a denial's id and its reason", async (_, change, method, path, code, rule) => {
    const { token } = await tokenOf(shop, change);
    const { status, body } = await authorize({ token, method, path });
    expect({ status, decision: body["decision"], code: body["code"], rule: body["rule"] }).toEqual({
      status: 200,
      decision: false,
      code,
      rule,
    });
    expect(body["denial_id"]).toMatch(/^den_/);
    expect(body["reason"]).toEqual(expect.any(String));
  });

  it("explains a denial to an operator as it was decided, and what would be decided today", async () => {
    const { token } = await tokenOf(shop, { scope: ["deploy:read"] });
    const { body } = await authorize({ token, method: "POST", path: "/deploy/prod?token=hidden", host: "deploy.test" });
    const operator = { authorization: `Bearer ${shop.broker.operators.viewer.reveal()}` };
    const { body: explained } = await ask(shop, "/v1/policy/explain", { denial_id: body["denial_id"] }, operator);
    expect(explained).toMatchObject({
      allowed: false,
      code: "insufficient_scope",
      denial: {
        code: "insufficient_scope",
        principal: { subject: "github:456789", trust: "github" },
        grant: "deploy",
        action: { verifier: "gate", method: "POST", path: "/deploy/prod", host: "deploy.test" },
      },
      trace: {
        grant: "gate",
        nearest: { rule: "gate.routes[1]", held: 3, of: 4, change: ['scope: "deploy:read" must be deploy:write'] },
      },
      today: { allowed: false, code: "insufficient_scope" },
    });
    const records = await shop.broker.audit.records();
    const record = records.find(({ denial }) => denial === body["denial_id"]);
    expect(record).toMatchObject({
      action: "request.denied",
      code: "insufficient_scope",
      verifier: "gate",
      rule: "gate.routes[1]",
      subject: "github:456789",
    });
    expect(JSON.stringify(records)).not.toContain("hidden");
  });

  it("knows of a revocation at once, and of tokens for others nothing", async () => {
    const { token } = await tokenOf(shop);
    const { credential } = await shop.exchange({ grant: "few" });
    await shop.broker.services.tokens.revoke(new (await import("../../../domain/secret.ts")).Secret(token), {
      ip: "",
      traceId: "",
      route: "",
    });
    for (const dead of [token, credential.token.reveal(), "a.b.c", "nonsense"]) {
      const { status, body } = await authorize({ token: dead, method: "GET", path: "/deploy/a/status" });
      expect({ status, body }).toEqual({
        status: 200,
        body: {
          decision: false,
          code: "invalid_token",
          reason: "the token is not a live one for this audience",
          denial_id: expect.stringMatching(/^den_/),
        },
      });
    }
  });

  it("denies everything to a verifier without routes", async () => {
    const { token } = await tokenOf(shop);
    const { body } = await ask(shop, "/v1/authorize", { token, method: "GET", path: "/" }, { authorization: "Bearer bare:bare-key" });
    expect(body).toMatchObject({ decision: false, code: "not_permitted", reason: "the verifier has no routes" });
  });

  it("gives context to when", async () => {
    const { token } = await tokenOf(shop);
    const question = { token, method: "GET", path: "/context", host: "deploy.test" };
    expect((await authorize({ ...question, context: { env: "prod" } })).body["decision"]).toBe(true);
    expect((await authorize({ ...question, context: { env: "test" } })).body).toMatchObject({ decision: false, code: "condition_not_met" });
    expect((await authorize(question)).body).toMatchObject({ decision: false, code: "condition_not_met" });
  });

  it("refuses callers that are no verifier, and bodies that it does not understand", async () => {
    const { token } = await tokenOf(shop);
    const question = { token, method: "GET", path: "/deploy/a/status" };
    const stranger = await ask(shop, "/v1/authorize", question, { authorization: "Bearer gate:wrong" });
    expect({ status: stranger.status, code: stranger.body["code"] }).toEqual({ status: 401, code: "invalid_client" });
    for (const wrong of [
      { ...question, method: "get" },
      { ...question, more: 1 },
      { method: "GET", path: "/" },
    ]) {
      const { status, body } = await authorize(wrong);
      expect({ status, code: body["code"] }).toEqual({ status: 400, code: "invalid_request" });
    }
  });

  it("records no more than a hundred denials of one subject in a second, and denies all the same", async () => {
    await using quiet = await openGate({ clock: () => Date.parse("2026-11-25T10:00:00Z") });
    const { token } = await tokenOf(quiet);
    const answers = await Promise.all(
      Array.from({ length: 120 }, () => ask(quiet, "/v1/authorize", { token, method: "GET", path: "/no" })),
    );
    expect(answers.every(({ body }) => body["decision"] === false && body["code"] === "not_permitted")).toBe(true);
    expect(answers.filter(({ body }) => body["denial_id"] !== undefined)).toHaveLength(100);
  });

  it("answers 503 while nothing can be decided", async () => {
    const away = async (): Promise<never> => {
      throw new StintError("store_unavailable", "the store cannot be reached");
    };
    await using http = await startHttp({ actions: { decide: away, scopeOf: () => [] } });
    const body = { token: "a.b.c", method: "GET", path: "/" };
    const response = await http.json("/v1/authorize", body, { authorization: "Bearer deploy-api:vk-0123456789abcdef" });
    expect(response.status).toBe(503);
  });
});

describe("GET /v1/verifiers/self/routes", () => {
  it("gives a verifier its own routes, and 304 to whoever has them", async () => {
    const url = `${shop.broker.url}/v1/verifiers/self/routes`;
    const response = await fetch(url, { headers: { authorization: BASIC } });
    expect(await response.json()).toEqual({
      verifier: "gate",
      issuer: shop.broker.url,
      audience: "https://deploy.shop.test",
      policy: expect.stringMatching(/^sha256:/),
      routes: [
        { method: ["GET", "HEAD"], path: "/deploy/*/status", require: { scope: ["deploy:read"] } },
        { method: "POST", path: "/deploy/**", require: { scope: ["deploy:write"] }, when: "token.purpose != ''" },
        { method: "GET", path: "/context", when: "request.context.env == 'prod' && request.host == 'deploy.test'" },
      ],
    });
    const again = await fetch(url, { headers: { authorization: BASIC, "if-none-match": response.headers.get("etag") ?? "" } });
    expect(again.status).toBe(304);
    expect((await fetch(url)).status).toBe(401);
  });
});

describe("AuthZEN", () => {
  const evaluation = (subject: object, name = "GET", id = "/deploy/a/status", more: object = {}) => ({
    subject,
    action: { name },
    resource: { type: "route", id },
    ...more,
  });

  it("says where it is answered", async () => {
    const { url } = shop.broker;
    const response = await fetch(`${url}/.well-known/authzen-configuration`);
    expect(await response.json()).toEqual({
      policy_decision_point: url,
      access_evaluation_endpoint: `${url}/access/v1/evaluation`,
      access_evaluations_endpoint: `${url}/access/v1/evaluations`,
    });
  });

  it("decides on a token as /v1/authorize does, and gives the request's id back", async () => {
    const { token } = await tokenOf(shop);
    const evaluate = (body: object) => ask(shop, "/access/v1/evaluation", body, { "x-request-id": "9b1c" });
    const good = await evaluate(evaluation({ type: "token", id: token }));
    expect(good.body).toEqual({ decision: true, context: { id: expect.stringMatching(/^evt_/) } });
    expect(good.headers.get("x-request-id")).toBe("9b1c");
    const named = { type: "workload", id: "github:456789", properties: { token } };
    expect((await evaluate(evaluation(named))).body["decision"]).toBe(true);
    expect((await evaluate(evaluation({ ...named, id: "github:1" }))).body).toMatchObject({
      decision: false,
      context: { code: "invalid_token" },
    });
    expect((await evaluate(evaluation({ ...named, properties: { token: 1 } }))).body).toMatchObject({ decision: false });
    const denied = await evaluate(evaluation({ type: "token", id: token }, "PUT"));
    expect(denied).toMatchObject({
      status: 200,
      body: {
        decision: false,
        context: { id: expect.stringMatching(/^den_/), code: "not_permitted", reason_user: { en: expect.any(String) } },
      },
    });
  });

  it("decides on what the verifier says of a subject, marks that, and checks a lease that is named", async () => {
    const { leaseId } = await tokenOf(shop);
    const subject = (properties: object) => ({ type: "workload", id: "github:456789", properties });
    const evaluate = async (properties: object) => (await ask(shop, "/access/v1/evaluation", evaluation(subject(properties)))).body;
    expect(await evaluate({ scope: "deploy:read" })).toEqual({ decision: true, context: { id: expect.any(String), asserted: true } });
    expect(await evaluate({})).toMatchObject({ decision: false, context: { code: "insufficient_scope", scope_needed: ["deploy:read"] } });
    expect(await evaluate({ scope: "deploy:read", sub: "github:1", lease_id: leaseId })).toMatchObject({ decision: true });
    await shop.broker.services.leases
      .forceClose(leaseId, { name: "ada", role: "admin" }, "x", { ip: "", traceId: "", route: "" })
      .catch(() => undefined);
    const operator = { authorization: `Bearer ${shop.broker.operators.responder.reveal()}` };
    await ask(shop, "/v1/revocations", { selector: { lease: leaseId }, reason: "test" }, operator);
    expect(await evaluate({ scope: "deploy:read", lease_id: leaseId })).toMatchObject({
      decision: false,
      context: { code: "invalid_token" },
    });
    expect(await evaluate({ scope: "deploy:read", lease_id: "lease_x" })).toMatchObject({ decision: false });
  });

  it("answers several in order, by the semantic that is asked for", async () => {
    const { token } = await tokenOf(shop);
    const evaluations = async (more: object) =>
      (
        await ask(shop, "/access/v1/evaluations", {
          ...evaluation({ type: "token", id: token }),
          evaluations: [{ action: { name: "PUT" } }, {}, { action: { name: "HEAD" } }],
          ...more,
        })
      ).body;
    const decisions = async (more: object) =>
      ((await evaluations(more))["evaluations"] as { decision: boolean }[]).map(({ decision }) => decision);
    expect(await decisions({})).toEqual([false, true, true]);
    expect(await decisions({ options: { evaluations_semantic: "deny_on_first_deny" } })).toEqual([false]);
    expect(await decisions({ options: { evaluations_semantic: "permit_on_first_permit" } })).toEqual([false, true]);
    expect(await evaluations({ evaluations: [] })).toMatchObject({ decision: true });
    expect(await decisions({ resource: undefined, evaluations: [{}, { resource: { type: "route", id: "/deploy/a/status" } }] })).toEqual([
      false,
      true,
    ]);
  });

  it("refuses what is no evaluation with 400, and strangers with 401", async () => {
    expect((await ask(shop, "/access/v1/evaluation", { subject: { type: "token" } })).status).toBe(400);
    expect((await ask(shop, "/access/v1/evaluation", evaluation({ type: "a", id: "b" }), { authorization: "" })).status).toBe(401);
  });

  const cases = join(import.meta.dirname, "../../../../../shared/cases/authzen/gateway-decisions.json");
  const withCases = specsIf(existsSync(cases), "../shared/cases/authzen is not here");
  withCases.it("decides the API gateway scenario of the interoperability events as expected", async () => {
    interface Case {
      readonly request: { readonly subject: { readonly id: string } };
      readonly expected: boolean;
    }
    const { evaluation: all } = JSON.parse(readFileSync(cases, "utf8")) as { readonly evaluation: readonly Case[] };
    const writers = [...new Set(all.map(({ request }) => request.subject.id))].slice(0, 3);
    const routes = [
      `{ method: GET, path: "/users/*" }`,
      `{ method: GET, path: /todos }`,
      ...["POST,/todos", "PUT,/todos/*", "DELETE,/todos/*"].map((text) => {
        const [method, path] = text.split(",");
        return `{ method: ${method}, path: "${path}", when: "token.sub in [${writers.map((id) => `'${id}'`).join(", ")}]" }`;
      }),
    ];
    const documents = `kind: Verifier\nname: gateway\naudience: https://todo.test\nkey: sha256:${await sha256("gateway-key")}\nroutes:\n${routes.map((route) => `  - ${route}\n`).join("")}`;
    await using gateway = await openGate({ more: `\n---\n${documents}` });
    const headers = { authorization: "Bearer gateway:gateway-key" };
    const wrong: unknown[] = [];
    for (const { request, expected } of all) {
      const { body } = await ask(gateway, "/access/v1/evaluation", request, headers);
      if (body["decision"] !== expected) wrong.push({ request, body });
    }
    expect(wrong).toEqual([]);
    expect(all.length).toBeGreaterThan(20);
  });
});

async function sha256(text: string): Promise<string> {
  return (await import("node:crypto")).hash("sha256", text, "hex");
}
