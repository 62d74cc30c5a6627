import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { decideAction, type ActionDecision } from "../../actions/decide.ts";
import { compileRoutes, type Asked, type RouteDocument, type Routes } from "../../actions/routes.ts";

const AT = Date.parse("2026-11-25T10:30:00Z");
const placeOf = (index: number) => ({ file: "policy.yaml", line: index + 1 });
function routesOf(...documents: RouteDocument[]): Routes {
  const { routes, faults } = compileRoutes("deploy-api", documents, "sha256:1", placeOf);
  expect(faults).toEqual([]);
  return routes;
}
const asked = (method: string, path: string, token: Asked["token"] = {}, more: Partial<Asked> = {}): Asked => ({
  token,
  method,
  path,
  host: "deploy.test",
  ip: "203.0.113.9",
  context: {},
  now: AT,
  ...more,
});
const outcome = (decision: ActionDecision): string =>
  decision.allowed ? `allow ${decision.rule}` : `${decision.view.code} ${decision.rule ?? ""}`.trim();

const ROUTES = routesOf(
  { method: ["GET", "HEAD"], path: "/deploy/*/status", require: { scope: ["deploy:read"] } },
  { method: "POST", path: "/deploy/**", require: { scope: ["deploy:write", "deploy:now"] }, when: "token.purpose != ''" },
  { path: "/open" },
);

describe("exact actions", () => {
  it.each<[string, string, Asked["token"], string]>([
    ["GET", "/deploy/prod/status", { scope: "deploy:read x" }, "allow deploy-api.routes[0]"],
    ["HEAD", "/deploy/prod/status", { scope: "deploy:read" }, "allow deploy-api.routes[0]"],
    ["GET", "/deploy/prod/status", { scope: "deploy:reader" }, "insufficient_scope deploy-api.routes[0]"],
    ["GET", "/deploy/prod/status", {}, "insufficient_scope deploy-api.routes[0]"],
    ["GET", "/deploy/prod/status", { scope: ["deploy:read"] }, "insufficient_scope deploy-api.routes[0]"],
    ["GET", "/deploy/a/b/status", { scope: "deploy:read" }, "not_permitted"],
    ["POST", "/deploy/a/b", { scope: "deploy:now deploy:write", purpose: "x" }, "allow deploy-api.routes[1]"],
    ["POST", "/deploy/a/b", { scope: "deploy:write", purpose: "x" }, "insufficient_scope deploy-api.routes[1]"],
    ["POST", "/deploy/a/b", { scope: "deploy:now deploy:write", purpose: "" }, "condition_not_met deploy-api.routes[1]"],
    ["POST", "/deploy/a/b", { scope: "deploy:now deploy:write" }, "condition_not_met deploy-api.routes[1]"],
    ["DELETE", "/deploy/a/b", { scope: "deploy:now deploy:write", purpose: "x" }, "not_permitted"],
    ["DELETE", "/open", {}, "allow deploy-api.routes[2]"],
    ["GET", "/", {}, "not_permitted"],
  ])("%s %s with %j: %s", (method, path, token, wanted) => {
    expect(outcome(decideAction(ROUTES, asked(method, path, token)))).toBe(wanted);
  });

  it("are decided by the first route that matches, not by the first that allows", () => {
    const routes = routesOf({ path: "/admin/**", require: { scope: ["admin"] } }, { path: "/**" });
    expect(outcome(decideAction(routes, asked("GET", "/admin/x", { scope: "other" })))).toBe("insufficient_scope deploy-api.routes[0]");
  });

  it("see the request, the token and the time in when, and deny when that errs", () => {
    const routes = routesOf({
      path: "/**",
      when: "request.method == 'GET' && request.host == 'deploy.test' && request.context.env == token.env && now.hour == 10 && request.ip.startsWith('203.')",
    });
    const decided = (context: Asked["context"]): string => outcome(decideAction(routes, asked("GET", "/x", { env: "prod" }, { context })));
    expect(decided({ env: "prod" })).toBe("allow deploy-api.routes[0]");
    expect(decided({ env: "test" })).toBe("condition_not_met deploy-api.routes[0]");
    expect(decided({})).toBe("condition_not_met deploy-api.routes[0]");
  });

  it.each([
    ["/admin/", "a slash at its end"],
    ["/Admin", "a capital"],
    ["/admin ", "a space at its end"],
    ["/admin.", "a dot at its end"],
  ])("that many upstreams would take for another route's are denied: %s has %s", (path) => {
    const routes = routesOf({ path: "/admin", require: { scope: ["admin"] } }, { path: "/**" });
    expect(outcome(decideAction(routes, asked("GET", path)))).toBe("ambiguous_request deploy-api.routes[0]");
    expect(outcome(decideAction(routes, asked("GET", "/else/")))).toBe("allow deploy-api.routes[1]");
  });

  it.each([
    ["/admin", "/admin/"],
    ["/admin", "/Admin"],
  ])("are denied as well where the route is the one that is written so: %s beside %s", (path, pattern) => {
    const routes = routesOf({ path: pattern, require: { scope: ["admin"] } }, { path: "/**" });
    expect(outcome(decideAction(routes, asked("GET", path)))).toBe("ambiguous_request deploy-api.routes[0]");
  });

  it("may have a slash at their end where nothing else is meant by it", () => {
    expect(outcome(decideAction(routesOf({ path: "/deploy/**" }), asked("GET", "/deploy/")))).toBe("allow deploy-api.routes[0]");
    expect(outcome(decideAction(routesOf({ path: "/items/" }), asked("GET", "/items/")))).toBe("allow deploy-api.routes[0]");
    expect(outcome(decideAction(routesOf({ path: "/items/" }), asked("GET", "/items")))).toBe("ambiguous_request deploy-api.routes[0]");
  });

  it("are explained: each condition of the route that decided, and nothing of routes behind it", () => {
    const decision = decideAction(ROUTES, asked("POST", "/deploy/a", { scope: "deploy:write" }));
    expect(decision.trace()).toEqual({
      grant: "deploy-api",
      grantExists: true,
      candidate: true,
      policy: "sha256:1",
      rules: [
        {
          rule: "deploy-api.routes[0]",
          effect: "allow",
          file: "policy.yaml",
          line: 1,
          matched: false,
          applies: true,
          conditions: [
            { condition: "method", held: false, wanted: "GET HEAD", got: "POST", anchor: false },
            { condition: "path", held: false, wanted: "/deploy/*/status", got: "/deploy/a", anchor: false },
          ],
        },
        {
          rule: "deploy-api.routes[1]",
          effect: "allow",
          file: "policy.yaml",
          line: 2,
          matched: false,
          applies: true,
          conditions: [
            { condition: "method", held: true, wanted: "POST", got: "POST", anchor: false },
            { condition: "path", held: true, wanted: "/deploy/**", got: "/deploy/a", anchor: false },
            { condition: "scope", held: false, wanted: "deploy:write deploy:now", got: "deploy:write", anchor: false },
            {
              condition: "when",
              held: false,
              wanted: "token.purpose != ''",
              got: undefined,
              anchor: false,
              note: "erred or met a missing value",
            },
          ],
        },
        { rule: "deploy-api.routes[2]", effect: "allow", file: "policy.yaml", line: 3, matched: false, applies: false, conditions: [] },
      ],
      nearest: {
        rule: "deploy-api.routes[1]",
        held: 2,
        of: 4,
        change: ['scope: "deploy:write" must be deploy:write deploy:now', "when must hold: token.purpose != ''"],
      },
    });
  });

  it("never allow what no route was written for, whatever is asked", () => {
    const text = fc.string({ maxLength: 20 });
    fc.assert(
      fc.property(text, text, fc.dictionary(text, fc.jsonValue()), (method, path, token) => {
        const decision = decideAction(ROUTES, asked(method, `/${path}`, token));
        if (decision.allowed) expect(["/open", "/deploy/"].some((prefix) => `/${path}`.startsWith(prefix))).toBe(true);
        decision.trace();
      }),
    );
  });

  it("cost microseconds, with a thousand routes too", () => {
    const many = routesOf(
      ...Array.from({ length: 999 }, (_, index) => ({ method: "GET", path: `/service-${index}/*/item`, require: { scope: ["x"] } })),
      { method: "GET", path: "/last/**", when: "token.purpose != ''" },
    );
    const question = asked("GET", "/last/one", { purpose: "x" });
    const first = asked("GET", "/service-1/b/item", { scope: "x" });
    const perDecision = (what: Asked, rounds: number): number => {
      const started = performance.now();
      for (let round = 0; round < rounds; round++) decideAction(many, what);
      return ((performance.now() - started) * 1000) / rounds;
    };
    perDecision(first, 5000);
    perDecision(question, 500);
    // generous: the machine is shared, and this is no benchmark
    expect(perDecision(first, 20_000)).toBeLessThan(20);
    expect(perDecision(question, 1000)).toBeLessThan(500);
  });
});

describe("routes that could never be met as written", () => {
  it.each<[RouteDocument, readonly (string | number)[], string]>([
    [{ path: "deploy" }, ["path"], "does not begin with a slash"],
    [{ path: "/a//b" }, ["path"], "two slashes in a row"],
    [{ path: "/a/../b" }, ["path"], "a segment of dots"],
    [{ path: "/a%20b" }, ["path"], "a percent sign"],
    [{ path: "/a?x=1" }, ["path"], "the beginning of something else"],
    [{ path: "/a/***" }, ["path"], 'three or more "*"'],
    [{ path: "/a", when: "token.x ==" }, ["when"], "when: "],
    [{ path: "/a", when: "claims.x == 1" }, ["when"], "when: Unknown variable: claims"],
    [{ path: "/a", when: "request.paht == '/a'" }, ["when"], "when: "],
    [{ path: "/a", when: "request.path" }, ["when"], "must be a condition"],
    [{ path: "/a", when: "request.path.matches('a.*')" }, ["when"], "is not anchored"],
  ])("%j is said to be wrong, at its place", (document, at, message) => {
    const { faults } = compileRoutes("api", [{ path: "/fine" }, document], "sha256:1", placeOf);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatchObject({ index: 1, at });
    expect(faults[0]?.message).toContain(message);
  });
});
