import { hash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { Lane, overloaded, type LaneLimits } from "./lane.ts";
import type { Who } from "./fair-queue.ts";

/** Kinds of work that never take room from each other: giving credentials out, ending them, telling about them, operating. */
export type LaneName = "issue" | "end" | "look" | "operate";
export type Lanes = Readonly<Record<LaneName, Lane>>;

const WIDE: LaneLimits = {
  free: 32,
  underWay: 256,
  perTrust: 128,
  perWorkload: 64,
  waiting: 512,
  waitingPerTrust: 256,
  waitingPerWorkload: 64,
  // with what the store takes at most, an answer comes within two seconds
  patienceMs: 300,
};
const LIMITS: Readonly<Record<LaneName, LaneLimits>> = {
  issue: WIDE,
  end: WIDE,
  look: WIDE,
  operate: { ...WIDE, free: 8, underWay: 32, perTrust: 16, perWorkload: 16, waiting: 64, waitingPerTrust: 32, waitingPerWorkload: 32 },
};

/** The lanes of one process. */
export const createLanes = (limits: Readonly<Record<LaneName, LaneLimits>> = LIMITS): Lanes => ({
  issue: new Lane(limits.issue),
  end: new Lane(limits.end),
  look: new Lane(limits.look),
  operate: new Lane(limits.operate),
});

const ISSUE: ReadonlySet<string> = new Set([
  "POST /oauth2/token",
  "POST /v1/tasks",
  "POST /v1/tasks/{id}/credentials",
  "POST /v1/leases/{id}/renew",
]);
const END: ReadonlySet<string> = new Set([
  "POST /oauth2/revoke",
  "POST /v1/tasks/{id}/heartbeat",
  "POST /v1/tasks/{id}/complete",
  "POST /v1/leases/{id}/release",
  "POST /v1/leases/{id}/close",
  "POST /v1/revocations",
  "POST /v1/locks",
  "DELETE /v1/locks/{id}",
  "POST /v1/hold",
  "POST /v1/keys",
]);
const LOOK =
  /^(?:POST \/oauth2\/introspect|POST \/v1\/authorize|POST \/access\/|GET \/v1\/verifiers\/self\/|POST \/v1\/feed\/|\S+ \/authz\/)/;
/** Answered from memory, or bounded by themselves as streams are. */
const OPEN = /^\S+ (?!\/v1\/)|^GET \/v1\/(?:feed|feed\/snapshot|events)$/;

/** The lane of a route; none for what costs next to nothing, which probes and caches rely on under any load. */
export function laneOf(method: string, path: string): LaneName | undefined {
  const line = `${method} ${path}`;
  if (ISSUE.has(line)) return "issue";
  if (END.has(line)) return "end";
  if (LOOK.test(line)) return "look";
  return OPEN.test(line) ? undefined : "operate";
}

/** A route, as logs and lanes know it. */
export interface Place {
  readonly label: string;
  readonly lane: LaneName | undefined;
}

export const placeOf = ({ method = "*", path }: { readonly method?: string; readonly path: string }): Place => ({
  label: `${method} ${path}`,
  lane: laneOf(method, path),
});

/** The lane of that name, where there is one. Throws `overloaded` when it cannot take in anybody, before a body has been read. */
export function roomIn(lanes: Lanes, name: LaneName | undefined): Lane | undefined {
  const lane = name === undefined ? undefined : lanes[name];
  if (lane?.full === true) throw overloaded();
  return lane;
}

/**
 * Who asks, by what its token says of itself. Nothing is verified: whoever lies gets a place of its own in the line, and is refused
 * when its turn comes. Without a token it is whoever presents this key, or this address.
 */
export function whoAsks(body: unknown, headers: IncomingHttpHeaders, ip: string): Who {
  const { authorization } = headers;
  const token = memberOf(body, "subject_token") ?? memberOf(body, "token") ?? authorization?.replace(/^\S+ +/, "");
  const claims = token === undefined ? undefined : claimsOf(token);
  if (claims !== undefined) return claims;
  const workload = authorization === undefined ? ip : hash("sha256", authorization, "base64url");
  return { trust: workload, workload };
}

function memberOf(body: unknown, name: string): string | undefined {
  if (typeof body !== "object" || body === null || !(name in body)) return undefined;
  const value: unknown = body[name as keyof typeof body];
  return typeof value === "string" ? value : undefined;
}

/** Our own tokens name the trust in their subject; any other is named by its issuer. */
function claimsOf(token: string): Who | undefined {
  const [, payload] = token.split(".", 3);
  if (payload === undefined) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
    const [iss, sub, typ] = [memberOf(claims, "iss"), memberOf(claims, "sub"), memberOf(claims, "lease_id") ?? memberOf(claims, "task_id")];
    if (iss === undefined || sub === undefined) return undefined;
    return { trust: typ === undefined ? iss : sub.slice(0, sub.indexOf(":")), workload: sub };
  } catch {
    return undefined;
  }
}
