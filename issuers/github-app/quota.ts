import type { IncomingHttpHeaders } from "node:http";
import type { TargetFacts } from "../../domain/credential.ts";
import type { Clock } from "../../domain/time.ts";

/** GitHub asks for at least a minute after a secondary limit that names no time. */
const SECONDARY_MS = 60_000;
/** Issuing stops when this part of the hour's calls is left: ending what was issued needs calls, too. */
const RESERVE = 0.01;
/** A reset further away than this is no reset: the hour's calls come back within the hour. */
const LONGEST_MS = 3_600_000;

type Quota = NonNullable<TargetFacts["quota"]>;

/** What GitHub said of the calls that are left. The App's own and each token's installation are counted apart; the scarcer one counts. */
export interface QuotaWatch {
  /** Reads an answer's headers; `body` is looked at only where GitHub refuses. */
  note(by: "app" | "installation", answer: { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: string }): void;
  /** How long nothing at all should be asked, in milliseconds. */
  blockedMs(): number | undefined;
  /** How long nothing new should be issued. */
  scarceMs(): number | undefined;
  shown(): Quota | undefined;
}

export function quotaWatch(now: Clock): QuotaWatch {
  const known = new Map<"app" | "installation", Quota>();
  let blockedUntil = 0;

  const current = (): readonly Quota[] => [...known.values()].filter(({ resetsAt }) => resetsAt > now());
  return {
    note(by, { status, headers, body }) {
      const quota = quotaIn(headers, now());
      if (quota !== undefined) known.set(by, quota);
      if (status === 403 || status === 429) {
        const wait = waitAsked(status, headers, body, quota, now());
        if (wait !== undefined) blockedUntil = Math.max(blockedUntil, now() + Math.min(wait, LONGEST_MS));
      }
    },
    blockedMs: () => (blockedUntil > now() ? blockedUntil - now() : undefined),
    scarceMs() {
      const waits = current().map(({ left, of, resetsAt }) => (left <= Math.max(1, Math.ceil(of * RESERVE)) ? resetsAt - now() : 0));
      const longest = Math.max(0, ...waits, blockedUntil - now());
      return longest > 0 ? longest : undefined;
    },
    shown: () => current().toSorted((a, b) => a.left / a.of - b.left / b.of)[0],
  };
}

function quotaIn(headers: IncomingHttpHeaders, now: number): Quota | undefined {
  const [of, left, reset] = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"].map((name) => whole(headers[name]));
  if (of === undefined || of === 0 || left === undefined || reset === undefined) return undefined;
  return { of, left: Math.min(left, of), resetsAt: Math.min(reset * 1000, now + LONGEST_MS) };
}

/** A refusal that passes by itself; undefined: it is of another kind. */
function waitAsked(status: number, headers: IncomingHttpHeaders, body: string, quota: Quota | undefined, now: number): number | undefined {
  const seconds = whole(headers["retry-after"]);
  if (seconds !== undefined) return Math.max(1, seconds) * 1000;
  if (quota?.left === 0) return Math.max(1000, quota.resetsAt - now);
  return status === 429 || /rate limit|abuse/i.test(body) ? SECONDARY_MS : undefined;
}

function whole(value: string | string[] | undefined): number | undefined {
  return typeof value === "string" && /^[0-9]{1,12}$/.test(value) ? Number(value) : undefined;
}
