import type { DecisionTrace, DenialView } from "../domain/decision.ts";
import type { WhenContext } from "./cel.ts";
import { hasScopes, meet } from "./match.ts";
import { routeContext, type Asked, type Route, type Routes } from "./routes.ts";
import { traceOf } from "./trace.ts";

/** What was decided of one action. `trace()` works out the whole reasoning, for whoever may see it. */
export type ActionDecision =
  | { readonly allowed: true; readonly rule: string; readonly trace: () => DecisionTrace }
  | {
      readonly allowed: false;
      readonly view: DenialView;
      /** The route that decided; absent where none matched. */
      readonly rule?: string;
      /** With `insufficient_scope`: all that the route needs. */
      readonly scope?: readonly string[];
      readonly trace: () => DecisionTrace;
    };

/**
 * Decides one action: the first route whose method and path match decides, and none is a denial. Its scopes must all be the token's
 * and its `when` must hold; one that errs does not. A path that lenient upstreams take for another one is denied where that other
 * one meets another route. Pure: no clock, network or store; never throws.
 */
export function decideAction(routes: Routes, asked: Asked): ActionDecision {
  const trace = (): DecisionTrace => traceOf(routes, asked);
  const { route, other } = meet(routes, asked);
  if (other !== undefined) return { allowed: false, view: AMBIGUOUS, rule: other.id, trace };
  if (route === undefined) return { allowed: false, view: NO_ROUTE, trace };
  if (!hasScopes(asked, route)) return { allowed: false, view: scopeMissing(route.scope), rule: route.id, scope: route.scope, trace };
  if (route.when !== undefined && !holds(route, routeContext(asked)))
    return { allowed: false, view: CONDITION_NOT_MET, rule: route.id, trace };
  return { allowed: true, rule: route.id, trace };
}

const holds = (route: Route, context: WhenContext): boolean => route.when?.holds(context) ?? route.when === undefined;

const NO_ROUTE: DenialView = Object.freeze({
  code: "not_permitted",
  message: "no route of the verifier is for this method and path",
});
const AMBIGUOUS: DenialView = Object.freeze({
  code: "ambiguous_request",
  message: "the path, read without its last slash or its capitals, belongs to another route",
  hint: "Write the path as the route has it.",
});
const CONDITION_NOT_MET: DenialView = Object.freeze({
  code: "condition_not_met",
  message: "the route is open to the token's scopes, but a further condition of it is not met by this request",
  hint: "It may depend on the token's claims, the time, or the request. The verifier's owner can look it up by the denial's id.",
});
const scopeMissing = (scope: readonly string[]): DenialView => ({
  code: "insufficient_scope",
  message: `needs the scope: ${scope.slice(0, 16).join(" ").slice(0, 512)}`,
  hint: "Ask for a credential with that scope.",
});
