import assert from "node:assert/strict";
import { compileRoutes, type RouteDocument } from "../../actions/routes.ts";
import { judge } from "../../client/actions/judge.ts";
import { newId } from "../../domain/ids.ts";
import { figureOf, type Figure } from "./figures.ts";

const ROUTES = 100;
const TIMES = 5_000;
const AT = 1_795_000_000_000;

/** Microseconds of a decision among a hundred routes, as middleware and proxies make it: path, route, scope and `when`. */
export function measureRoutes(rounds: number): Figure {
  const documents: readonly RouteDocument[] = Array.from({ length: ROUTES }, (_, index) => ({
    method: ["POST"],
    path: `/service-${index}/*/deploy`,
    require: { scope: ["deploy:write"] },
    when: "token.purpose != '' && now.hour >= 0",
  }));
  const { routes, faults } = compileRoutes("bench", documents, "sha256:1", () => ({ file: "bench.yaml", line: 1 }));
  assert.deepEqual(faults, []);
  const token = { sub: "github:1", lease_id: newId("lease", AT), scope: "deploy:write", purpose: "release" };
  const decide = (target: string): boolean =>
    judge({ routes, token, original: { method: "POST", target, host: "api.test", ip: "203.0.113.9" }, context: {}, now: AT }).allowed;
  const targets = Array.from({ length: ROUTES }, (_, index) => `/service-${index}/prod/deploy?x=1`);
  assert.ok(targets.every(decide) && !decide("/service-1/prod/other"));
  const each = Array.from({ length: rounds }, () => {
    const began = performance.now();
    for (let time = 0; time < TIMES; time++) decide(targets[time % ROUTES] ?? "");
    return ((performance.now() - began) * 1000) / TIMES;
  });
  return figureOf(each);
}
