import type { LimitedBy } from "../../domain/lease.ts";

/** No lifetime is shorter: a credential must survive the way to its first use. */
export const MIN_TTL_MS = 5_000;
/** None is longer, whatever a grant or an issuer says. */
export const MAX_TTL_MS = 24 * 3_600_000;

/** Everything that bounds a lifetime, in milliseconds; undefined where nothing was said. */
export interface TtlBounds {
  readonly askedMs: number | undefined;
  readonly grant: { readonly ttlMs: number; readonly maxTtlMs: number };
  /** What is left of the task, where that is known before the store is asked. */
  readonly taskLeftMs: number | undefined;
  readonly issuerMaxMs: number;
  /** What is left of the evidence, where it is a token of our own. */
  readonly evidenceLeftMs: number | undefined;
}

/**
 * The shortest of asked, grant, task, issuer and evidence, and which of them it was. Asking for more than the grant's maximum is
 * clipped; asking for less than five seconds gets five. Between equals the earlier of `LIMITS` is named.
 */
export function shortestTtl(bounds: TtlBounds): { readonly ttlMs: number; readonly limitedBy: LimitedBy } {
  const { askedMs, grant } = bounds;
  const candidates: readonly (readonly [LimitedBy, number | undefined])[] = [
    ["asked", askedMs === undefined ? undefined : Math.max(askedMs, MIN_TTL_MS)],
    ["grant", askedMs === undefined ? Math.min(grant.ttlMs, grant.maxTtlMs) : grant.maxTtlMs],
    ["task", bounds.taskLeftMs],
    ["issuer", Math.min(bounds.issuerMaxMs, MAX_TTL_MS)],
    ["evidence", bounds.evidenceLeftMs],
  ];
  let ttlMs = Number.POSITIVE_INFINITY;
  let limitedBy: LimitedBy = "grant";
  for (const [name, limit] of candidates) {
    if (limit !== undefined && limit < ttlMs) {
      ttlMs = limit;
      limitedBy = name;
    }
  }
  return { ttlMs: Math.max(0, ttlMs), limitedBy };
}
