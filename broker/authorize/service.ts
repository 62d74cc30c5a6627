import { decideAction, type ActionDecision } from "../../actions/decide.ts";
import { meet } from "../../actions/match.ts";
import { readPath, type ReadPath } from "../../actions/path.ts";
import type { Asked, Routes } from "../../actions/routes.ts";
import type { DenialView } from "../../domain/decision.ts";
import { StintError } from "../../domain/errors.ts";
import { isId, newId } from "../../domain/ids.ts";
import type { Claims } from "../../domain/principal.ts";
import type { Origin } from "../callers.ts";
import type { Unverified } from "../denials/unverified.ts";
import type { Parts } from "../parts.ts";
import type { DenialRecord } from "../../store/api.ts";
import type { Policy, Verifier } from "../policy/policy.ts";
import type { IntrospectionService } from "../tokens/api.ts";
import type { ActionAnswer, ActionQuestion, ActionService } from "./api.ts";
import { createRefusals, type RefuseAction } from "./refuse.ts";

type Denied = Extract<ActionDecision, { readonly allowed: false }>;

/**
 * Decides exact actions for verifiers that do not decide themselves: the token as introspection sees it, then the routes of the
 * verifier. The same decision wherever it is asked for.
 */
export function createActions(parts: Parts, introspection: IntrospectionService, unverified: Pick<Unverified, "refuse">): ActionService {
  const refuse = createRefusals(parts);
  return {
    async decide(verifier, question, origin) {
      const token = await claimsOf(parts, introspection, verifier, question);
      if (token === undefined) {
        const { code, message, facts } = unverified.refuse(new StintError("invalid_token", INACTIVE), origin);
        return { allowed: false, code, message, denialId: facts.denialId };
      }
      return decideFor(parts, refuse, verifier, question, token, origin);
    },
    scopeOf(verifier, method, target) {
      const read = readPath(target);
      const routes = verifier.actions;
      if (routes === undefined || !("path" in read)) return [];
      return meet(routes, { method, path: read.path }).route?.scope ?? [];
    },
  };
}

const INACTIVE = "the token is not a live one for this audience";

/** The claims that the decision is about; undefined when nobody vouches for them. */
async function claimsOf(
  parts: Parts,
  introspection: IntrospectionService,
  verifier: Verifier,
  { subject }: ActionQuestion,
): Promise<Claims | undefined> {
  if (subject.kind === "asserted") return (await isAlive(parts, subject.claims)) ? subject.claims : undefined;
  const found = await introspection.check(subject.token, verifier);
  // a token for a relying party of another kind says who somebody is, and allows nothing here
  if (!found.active || found.tokenType === "N_A") return undefined;
  const { claims } = found;
  if (subject.subject !== undefined && claims["sub"] !== subject.subject) return undefined;
  // a token that is bound to a key is worth nothing by itself: whoever asks must have seen the proof, and say of which key
  return isProven(claims["cnf"], subject.proven) ? claims : undefined;
}

/** What an asker asserts of a lease must be so: it lives, and is the subject's. Without a lease there is nothing to look up. */
async function isAlive(parts: Parts, claims: Claims): Promise<boolean> {
  const id = claims["lease_id"];
  if (id === undefined) return true;
  if (!isId("lease", id) || !(await parts.store.leases.isLive(id, undefined))) return false;
  return (await parts.store.leases.get(id))?.subject === claims["sub"];
}

function isProven(cnf: unknown, proven: Readonly<Record<string, string>> | undefined): boolean {
  if (cnf === undefined) return true;
  if (typeof cnf !== "object" || cnf === null || proven === undefined) return false;
  const bound = Object.entries(cnf);
  return bound.length > 0 && bound.every(([method, value]) => Object.hasOwn(proven, method) && proven[method] === value);
}

async function decideFor(
  parts: Parts,
  refuse: RefuseAction,
  verifier: Verifier,
  question: ActionQuestion,
  token: Claims,
  origin: Origin,
): Promise<ActionAnswer> {
  const { method, target, host, ip, context } = question;
  const read = readPath(target);
  const asked: Asked = { token, method, path: "path" in read ? read.path : "", host, ip, context, now: parts.now() };
  const decision = decideRead(verifier.name, verifier.actions, read, asked, parts.policy().version);
  if (decision.allowed) return { allowed: true, decisionId: newId("evt", asked.now), rule: decision.rule, token };
  const denialId = await refuse({ verifier, asked, target, origin }, decision);
  const { code, message, hint } = decision.view;
  return { allowed: false, code, message, hint, denialId, rule: decision.rule, scope: decision.scope, token };
}

/** Decides again what was refused before, as far as its record tells: the context is not kept. */
export function decideAgain(policy: Policy, action: NonNullable<DenialRecord["action"]>, token: Claims, now: number): ActionDecision {
  const read = readPath(action.path);
  const { method, host, verifier } = action;
  const asked: Asked = { token, method, path: "path" in read ? read.path : "", host, ip: "", context: {}, now };
  return decideRead(verifier, policy.verifiers.get(verifier)?.actions, read, asked, policy.version);
}

function decideRead(verifier: string, routes: Routes | undefined, read: ReadPath, asked: Asked, policy: string): ActionDecision {
  if ("fault" in read)
    return outright(
      verifier,
      policy,
      { code: "ambiguous_request", message: read.fault },
      `the path must be read in one way only: ${read.fault}`,
    );
  if (routes === undefined) {
    const view: DenialView = {
      code: "not_permitted",
      message: "the verifier has no routes",
      hint: "Write routes in its Verifier document.",
    };
    return outright(verifier, policy, view, "the Verifier document must have routes");
  }
  return decideAction(routes, asked);
}

/** A denial that no route was asked about. `change`: what would have to be different. */
const outright = (verifier: string, policy: string, view: DenialView, change: string): Denied => ({
  allowed: false,
  view,
  trace: () => ({
    grant: verifier,
    grantExists: true,
    candidate: true,
    policy,
    rules: [],
    nearest: { rule: `${verifier}.routes`, held: 0, of: 1, change: [change] },
  }),
});
