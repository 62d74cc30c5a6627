import type { Route } from "../../actions/routes.ts";
import type { Report } from "./lint.ts";
import type { Verifier } from "./policy.ts";

/** Methods that by their definition change nothing (RFC 9110 section 9.2.1). */
const SAFE = new Set(["GET", "HEAD", "OPTIONS"]);

/** Looks at a verifier's routes for what compiles and is not what was meant. `given`: scopes that grants for its audience can give. */
export function lintVerifier(verifier: Verifier | undefined, given: ReadonlySet<string>, report: Report): void {
  const all = verifier?.actions?.all ?? [];
  for (const [position, route] of all.entries()) {
    const { index } = route;
    const earlier = all.slice(0, position).find((one) => covers(one, route));
    if (earlier !== undefined)
      report("route-shadowed", ["routes", index], `${earlier.id} comes first and matches all of it`, "put the narrower route first");
    const unknown = route.scope.filter((scope) => !given.has(scope));
    if (unknown.length > 0)
      report(
        "route-scope",
        ["routes", index, "require", "scope"],
        `no grant for this audience gives ${unknown.join(" ")}, so nobody passes`,
        "compare with issue.scope of the grants",
        "warning",
      );
    const unsafe = route.methods === undefined || [...route.methods].some((method) => !SAFE.has(method));
    if (unsafe && route.scope.length === 0 && route.when === undefined)
      report(
        "open-route",
        ["routes", index],
        "needs no scope and has no when",
        "add require: { scope: [...] }, or name safe methods only",
        "warning",
      );
  }
}

function covers(earlier: Route, later: Route): boolean {
  const { methods } = earlier;
  if (methods !== undefined && (later.methods === undefined || [...later.methods].some((method) => !methods.has(method)))) return false;
  if (earlier.pattern === later.pattern) return true;
  const prefix = earlier.pattern.slice(0, -2);
  return earlier.pattern.endsWith("**") && !prefix.includes("*") && later.pattern.startsWith(prefix);
}
