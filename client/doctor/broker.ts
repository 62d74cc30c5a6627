import { formatDuration } from "../../domain/time.ts";
import type { Clock } from "../../domain/time.ts";
import { bad, leftOut, ok, warn, type Finding } from "./finding.ts";

export interface Asked {
  readonly url: string;
  readonly fetch: typeof fetch;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/** `Date` has whole seconds, and the answer took a moment: less than this is no difference. */
const SKEW = { noticed: 2_000, harmful: 30_000 } as const;

/** What is found where the broker should be: that it is one, that it is this one, and how its clock stands to ours. */
export async function introduce(asked: Asked): Promise<readonly Finding[]> {
  const before = asked.clock();
  let response: Response;
  let body: unknown;
  try {
    response = await get(asked, "/.well-known/openid-configuration");
    body = await response.json().catch(() => undefined);
  } catch {
    return [
      bad("issuer", `${asked.url} did not answer, or with a redirect`, {
        why: "Connections are accepted and no answer comes.",
        next: "Look at the proxy before the broker, and whether the broker is overloaded or stopped.",
      }),
    ];
  }
  const issuer = typeof body === "object" && body !== null && "issuer" in body ? body.issuer : undefined;
  if (!response.ok || typeof issuer !== "string")
    return [
      bad("issuer", `${asked.url} answered ${response.status}, but not like a Stint broker`, {
        why: "Its /.well-known/openid-configuration names no issuer.",
        next: "Is STINT_URL the broker's own origin, and does the proxy hand every path on?",
      }),
    ];
  return [sameName(issuer, asked.url), agreement(response.headers.get("date"), before, asked.clock())];
}

function sameName(issuer: string, url: string): Finding {
  if (issuer === url) return ok("issuer", `the broker calls itself ${issuer}`);
  return bad("issuer", `asked as ${url}, it calls itself ${issuer}`, {
    why: "Evidence must be made for that name, and tokens bear it as iss: compared byte for byte.",
    next: "Set STINT_URL to the same on both sides: the origin that clients use, without a path or a slash at its end.",
  });
}

function agreement(date: string | null, before: number, after: number): Finding {
  const at = date === null ? Number.NaN : Date.parse(date);
  if (Number.isNaN(at)) return leftOut("clock", "the answer bore no Date", "Something before the broker takes it away.");
  // anything from the second it names to the next, seen somewhere between asking and hearing
  const apart = at > after ? at - after : at + 1_000 < before ? before - at - 1_000 : 0;
  if (apart < SKEW.noticed) return ok("clock", "this machine and the broker agree");
  const what = `this machine's clock is ${formatDuration(Math.round(apart / 1_000) * 1_000)} ${at > after ? "behind" : "ahead of"} the broker's`;
  const rest = {
    why: "Evidence and tokens bear times; an allowance of 30 s is all there is.",
    next: "Have both follow NTP (timedatectl, chronyc tracking), beginning with this one.",
  };
  return apart < SKEW.harmful ? warn("clock", what, rest) : bad("clock", what, rest);
}

const get = ({ url, fetch, timeoutMs }: Asked, path: string): Promise<Response> =>
  fetch(new URL(path, url), { headers: { accept: "application/json" }, redirect: "error", signal: AbortSignal.timeout(timeoutMs) });

/** What mends each check of `/readyz` that is not well. */
const REMEDIES: Readonly<Record<string, string>> = {
  redis: "Start Redis, or mend STINT_REDIS_URL and the way to it. Until then nothing is issued and nothing revoked.",
  aof: "CONFIG SET appendonly yes and the same in redis.conf; STINT_REQUIRE_AOF=1 then keeps it so.",
  eviction: "CONFIG SET maxmemory-policy noeviction and the same in redis.conf; give it more memory where it is short.",
  signing_key: "Compare the master key with the one the store was begun with, and look at: stint keys ls",
  policy: "Run: stint policy check",
  audit: "Make room on the broker's disk and let it write STINT_AUDIT_DIR; it tries again by itself.",
  clock: "Have the broker's machine and Redis's follow NTP; nothing else is needed.",
  hold: "Look at what was lost with stint hold show and stint target ls, then: stint hold clear --reason WHY",
  draining: "It is being stopped. If it should not be, look for who sent the signal.",
};

/** The broker's own account of itself, check by check, each with its remedy. */
export async function readiness(asked: Asked): Promise<readonly Finding[]> {
  const response = await get(asked, "/readyz").catch(() => undefined);
  const body: unknown = await response?.json().catch(() => undefined);
  const checks = typeof body === "object" && body !== null && "checks" in body && Array.isArray(body.checks) ? body.checks : undefined;
  if (response === undefined || checks === undefined)
    return [leftOut("readiness", `/readyz ${response === undefined ? "did not answer" : `answered ${response.status}`}`, HIDDEN)];
  return checks.flatMap((one: unknown) => readable(one));
}

const HIDDEN = "A proxy may keep it inside; ask from where probes ask, or at STINT_METRICS_LISTEN.";

function readable(one: unknown): readonly Finding[] {
  if (typeof one !== "object" || one === null) return [];
  const { name, status, detail } = one as { readonly name?: unknown; readonly status?: unknown; readonly detail?: unknown };
  if (typeof name !== "string" || typeof detail !== "string") return [];
  if (status === "ok") return [ok(name, detail)];
  const next = REMEDIES[name] ?? "Read the broker's log around this minute.";
  return [status === "warn" ? warn(name, detail, { next }) : bad(name, detail, { next })];
}
