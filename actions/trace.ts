import type { ConditionTrace, DecisionTrace, RuleTrace } from "../domain/decision.ts";
import { hasScopes, meet } from "./match.ts";
import { routeContext, type Asked, type Route, type Routes } from "./routes.ts";

/** The reasoning of a decision on an action: each route that was tried, with every condition of the one that decided. */
export function traceOf(routes: Routes, asked: Asked): DecisionTrace {
  const { route, other } = meet(routes, asked);
  const last = route === undefined ? routes.all.length : routes.all.indexOf(route);
  const traces = routes.all.map((each, index): RuleTrace => {
    const head = { rule: each.id, effect: "allow" as const, file: each.file, line: each.line };
    // the first that matches has decided: those behind it were not looked at
    if (index > last) return { ...head, matched: false, applies: false, conditions: [] };
    const conditions = [...meeting(each, asked), ...(each === route ? demands(each, asked) : [])];
    if (each === other)
      conditions.push(condition("reading", false, "the only route of the path", "read without its last slash or capitals"));
    return { ...head, matched: conditions.every(({ held }) => held), applies: true, conditions };
  });
  const nearest = nearestOf(traces, other?.id ?? route?.id);
  return { grant: routes.name, grantExists: true, candidate: true, policy: routes.policy, rules: traces, ...nearest };
}

const condition = (name: string, held: boolean, wanted: string, got: unknown, note?: string): ConditionTrace => ({
  condition: name,
  held,
  wanted,
  got,
  anchor: false,
  ...(note === undefined ? {} : { note }),
});

function meeting(route: Route, asked: Asked): ConditionTrace[] {
  const methods = route.methods === undefined ? "any" : [...route.methods].join(" ");
  return [
    condition("method", route.methods?.has(asked.method) ?? true, methods, asked.method.slice(0, 64)),
    condition("path", route.matches(asked.path), route.pattern, asked.path.slice(0, 1024)),
  ];
}

function demands(route: Route, asked: Asked): ConditionTrace[] {
  const made: ConditionTrace[] = [];
  if (route.scope.length > 0) {
    const got = typeof asked.token["scope"] === "string" ? asked.token["scope"].slice(0, 1024) : undefined;
    made.push(condition("scope", hasScopes(asked, route), route.scope.join(" "), got, got === undefined ? "absent" : undefined));
  }
  if (route.when !== undefined) {
    const held = route.when.holds(routeContext(asked));
    made.push(
      condition("when", held === true, route.when.source, undefined, held === undefined ? "erred or met a missing value" : undefined),
    );
  }
  return made;
}

function nearestOf(traces: readonly RuleTrace[], decided: string | undefined): Pick<DecisionTrace, "nearest"> {
  const failing = ({ conditions }: RuleTrace): number => conditions.filter(({ held }) => !held).length;
  const best = traces.find(({ rule }) => rule === decided) ?? traces.toSorted((a, b) => failing(a) - failing(b))[0];
  if (best === undefined) return {};
  const change = best.conditions
    .filter(({ held }) => !held)
    .map(({ condition: name, wanted, got }) =>
      name === "when" ? `when must hold: ${wanted}` : `${name}: ${got === undefined ? "absent" : JSON.stringify(got)} must be ${wanted}`,
    );
  return { nearest: { rule: best.rule, held: best.conditions.length - change.length, of: best.conditions.length, change } };
}
