import {
  bearerChallenge,
  proxyAnswer,
  proxyPath,
  PROXIES,
  readOriginal,
  type Finding,
  type Original,
  type Proxy,
} from "../../actions/proxies.ts";
import { StintError } from "../../domain/errors.ts";
import { Secret } from "../../domain/secret.ts";
import { MAX_TOKEN_CHARS } from "../../domain/wire.ts";
import type { Verifier } from "../policy/policy.ts";
import type { ActionAnswer } from "../authorize/api.ts";
import { ERROR_ANSWERS } from "./error-answers.ts";
import type { Answer, Call, House, Route } from "./route.ts";

/** Where a proxy asks about each request, with whatever method and, at Envoy, with the original path behind it. */
export type ProxyRoute = Pick<Route, "path" | "access" | "handle" | "refuse">;

/** Header in which a proxy's own configuration says for which verifier it asks, and proves it: `name:key`. */
const KEY_HEADER = "x-stint-verifier-key";

/** `/authz/nginx`, `/authz/envoy/*` and `/authz/traefik`. Each answers every question, and every error, in its proxy's words. */
export function proxyRoutes(): readonly ProxyRoute[] {
  return PROXIES.map((proxy) => ({
    path: proxyPath(proxy),
    access: "open",
    handle: (call, house) => answerTo(proxy, call, house),
    refuse: (error) => rendered(proxy, unanswered(error)),
  }));
}

async function answerTo(proxy: Proxy, call: Call, { services, door }: House): Promise<Answer> {
  const verifier = verifierOf(proxy, call, { services, door });
  const original = readOriginal(proxy, { ...call.line, headers: call.headers });
  if ("fault" in original) throw new StintError("invalid_request", original.fault);
  const caller = `verifier:${verifier.name}`;
  const challenge = (error?: string, description?: string, scope?: readonly string[]): string =>
    bearerChallenge({ realm: verifier.audience, scope: scope?.join(" "), error, error_description: description });
  const token = bearerOf(call.headers.authorization);
  if (token === undefined) {
    const needed = services.actions.scopeOf(verifier, original.method, original.target);
    const message = "an access token is needed";
    return rendered(
      proxy,
      { kind: "unauthorized", code: "unauthenticated", message, challenge: challenge(undefined, undefined, needed) },
      { caller },
    );
  }
  const answer = await services.actions.decide(verifier, questionOf(original, token), call.origin);
  return rendered(proxy, findingOf(answer, challenge), {
    caller,
    ...(answer.allowed ? { decisionId: answer.decisionId } : { code: answer.code, denialId: answer.denialId }),
  });
}

const questionOf = (original: Original, token: Secret) => ({ subject: { kind: "token", token }, ...original, context: {} }) as const;

/** By key; or, straight from a proxy whose address is trusted, by name in the URL that its configuration has. Envoy has no such URL. */
function verifierOf(proxy: Proxy, { headers, line, origin }: Call, { services, door }: Pick<House, "services" | "door">): Verifier {
  const presented = headers[KEY_HEADER];
  if (typeof presented === "string" && presented !== "") return door.proxy(presented, origin.ip);
  const name = proxy === "envoy" ? null : new URLSearchParams(line.target.split("?")[1] ?? "").get("verifier");
  const verifier = line.fromProxy && name !== null ? services.verifiers.named(name) : undefined;
  if (verifier === undefined)
    throw new StintError(
      "invalid_client",
      `this needs ${KEY_HEADER}: name:key, or ?verifier=name from an address in STINT_TRUSTED_PROXIES`,
    );
  return verifier;
}

/** Undefined where there is none. What only looks like one is a token that nobody honours. */
function bearerOf(header: string | undefined): Secret | undefined {
  if (header === undefined || !/^(?:bearer|dpop)(?: |$)/i.test(header)) return undefined;
  const [, token = ""] = /^Bearer +([\x21-\x7e]+) *$/i.exec(header) ?? [];
  return new Secret(token.length > MAX_TOKEN_CHARS ? "" : token);
}

type Challenge = (error?: string, description?: string, scope?: readonly string[]) => string;

function findingOf(answer: ActionAnswer, challenge: Challenge): Finding {
  if (answer.allowed) return { kind: "allowed", token: answer.token, decisionId: answer.decisionId };
  const { code, message, denialId, scope } = answer;
  if (code === "invalid_token") return { kind: "unauthorized", code, message, denialId, challenge: challenge("invalid_token", message) };
  const narrow = code === "insufficient_scope" ? { challenge: challenge("insufficient_scope", undefined, scope) } : {};
  return { kind: "forbidden", code, message, denialId, ...narrow };
}

/** Whatever was thrown: never 401, which would send the client for another token, and never let through. */
function unanswered({ code, message, facts }: StintError): Finding {
  const { status, retryable } = ERROR_ANSWERS[code];
  if (!retryable && status < 500) return { kind: "forbidden", code, message };
  const overloaded = code === "too_many_requests" ? "overloaded" : code;
  return { kind: "unable", code: overloaded, message, retryAfterSeconds: facts.retryAfterSeconds ?? 1 };
}

function rendered(proxy: Proxy, finding: Finding, about: Answer["about"] = {}): Answer {
  const { status, headers, body } = proxyAnswer(proxy, finding);
  return { status, headers, about, ...(body === undefined ? {} : { body, type: "application/problem+json" }) };
}
