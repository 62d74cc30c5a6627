import type { IncomingMessage } from "node:http";
import { meet } from "../../actions/match.ts";
import { readPath } from "../../actions/path.ts";
import { readOriginal, type Finding, type Original, type Proxy } from "../../actions/proxies.ts";
import type { Routes } from "../../actions/routes.ts";
import type { Clock } from "../../domain/time.ts";
import { judge } from "../actions/judge.ts";
import { answerSettings, answerTo, readAuthorization, VerifyError, type Verified, type Verifier } from "../verify/index.ts";
import type { Witness } from "./witness.ts";

/** What questions are answered from. */
export interface Oracle {
  readonly verifier: Verifier;
  readonly routes: Routes;
  readonly clock: Clock;
  /** Has denials on record at the broker. */
  readonly witness: Pick<Witness, "record">;
  /** The whole reasoning of each denial: where the broker has no record of it, nobody else has it. */
  readonly denied: (facts: Readonly<Record<string, unknown>>) => void;
}

/** Answers one question of a proxy from what is known here: the token, then the routes. Never throws. */
export async function find(proxy: Proxy, request: IncomingMessage, oracle: Oracle): Promise<Finding> {
  const { verifier, routes } = oracle;
  const { method = "", url = "", headers } = request;
  const original = readOriginal(proxy, { method, target: url, headers });
  if ("fault" in original) return { kind: "forbidden", code: "invalid_request", message: original.fault };
  // Node keeps the first of several and says nothing
  if (countOf(request, "authorization") > 1)
    return { kind: "forbidden", code: "invalid_request", message: "the header authorization stands twice" };
  try {
    const { scheme, token } = readAuthorization(headers.authorization);
    const header = (name: string): string | undefined => String(headers[name.toLowerCase()] ?? "") || undefined;
    const where = { method: original.method, url: `https://${original.host}${original.target}`, source: original.ip, header };
    const verified = await verifier.verify({ scheme, token, ...where, reportsItself: true });
    return await decide(original, verified, oracle);
  } catch (error) {
    return refusalOf(error, verifier, routes, original);
  }
}

async function decide(original: Original, verified: Verified, oracle: Oracle): Promise<Finding> {
  const { verifier, routes, clock, denied, witness } = oracle;
  const { token, payload } = verified;
  const judged = judge({ routes, token: payload, original, context: {}, now: clock() });
  if (judged.allowed) {
    verifier.used(verified, { route: judged.route, source: original.ip });
    return { kind: "allowed", token: payload, decisionId: judged.decisionId };
  }
  const { code, message, scope, reasons } = judged;
  const recorded = await witness.record({ token, cnf: payload["cnf"], original });
  const denialId = recorded ?? judged.denialId;
  denied({ ...reasons, denial_id: denialId, explained: recorded === undefined ? "here" : "broker" });
  if (scope === undefined) return { kind: "forbidden", code, message, denialId };
  const challenge = challengeOf(new VerifyError("insufficient_scope", { scopes: scope }), verifier);
  return { kind: "forbidden", code, message, denialId, challenge };
}

/** The verifier's own refusals; whatever else happened is our fault, and no yes. */
function refusalOf(error: unknown, verifier: Verifier, routes: Routes, { method, target }: Original): Finding {
  if (!(error instanceof VerifyError))
    return { kind: "unable", code: "server_error", message: "something went wrong", retryAfterSeconds: 1 };
  if (error.status === 503) return { kind: "unable", code: error.reason, message: error.description, retryAfterSeconds: 1 };
  const code = error.error ?? "unauthenticated";
  if (error.reason !== "no_token")
    return { kind: "unauthorized", code, message: error.description, challenge: challengeOf(error, verifier) };
  const read = readPath(target);
  const scopes = "path" in read ? (meet(routes, { method, path: read.path }).route?.scope ?? []) : [];
  const challenge = challengeOf(new VerifyError("no_token", { scopes }), verifier);
  return { kind: "unauthorized", code, message: error.description, challenge };
}

const challengeOf = (error: VerifyError, verifier: Verifier): string =>
  answerTo(error, answerSettings(verifier, {})).headers["www-authenticate"] ?? "";

const countOf = ({ rawHeaders }: IncomingMessage, name: string): number =>
  rawHeaders.filter((text, at) => at % 2 === 0 && text.toLowerCase() === name).length;
