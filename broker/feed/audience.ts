import type { Issuer } from "../../domain/credential.ts";
import type { LeaseId } from "../../domain/ids.ts";
import type { FeedEntry, MarkScope } from "../../store/api.ts";
import type { Policy } from "../policy/policy.ts";

/** A mark as verifiers are told it: of scopes that a token shows by itself. */
export interface ToldMark {
  readonly scope: Exclude<MarkScope["kind"], "issuer">;
  /** Empty for `all`. */
  readonly name: string;
  readonly at: number;
}

/** What verifiers of one audience are told of some entries. */
export interface Told {
  /** Id and end (milliseconds). */
  readonly leases: readonly (readonly [LeaseId, number])[];
  readonly marks: readonly ToldMark[];
}

/** What concerns the verifiers of one audience, by the policy in force and what is remembered of those before it. */
export interface Concern {
  /** Grants whose tokens they may meet. */
  readonly grants: ReadonlySet<string>;
  /** Grants of other audiences only: they are none of theirs. A grant that no policy knows concerns everybody. */
  readonly foreign: ReadonlySet<string>;
  /** What a mark on this issuer comes to for them. */
  readonly ofIssuer: (issuer: string) => "all" | readonly string[];
}

/** Grant names with the audiences that they had in earlier policies and that tokens may still bear. */
export type FormerAudiences = ReadonlyMap<string, ReadonlySet<string>>;

/** Works out whom of an audience what concerns. Only issuers that sign make anything a verifier meets. */
export function concernOf(
  audience: string,
  policy: Pick<Policy, "grants">,
  issuers: ReadonlyMap<string, Pick<Issuer, "computesOnly">>,
  former: FormerAudiences,
): Concern {
  const grants = new Set<string>();
  const foreign = new Set<string>();
  const issuersHere = new Map<string, string[]>();
  for (const grant of policy.grants.values()) {
    const had = former.get(grant.name);
    if (grant.issue.audience !== audience && had?.has(audience) !== true) {
      foreign.add(grant.name);
      continue;
    }
    grants.add(grant.name);
    if (issuers.get(grant.issue.issuer)?.computesOnly === true)
      issuersHere.set(grant.issue.issuer, [...(issuersHere.get(grant.issue.issuer) ?? []), grant.name]);
  }
  const ofIssuer = (issuer: string): "all" | readonly string[] => {
    if (issuers.get(issuer)?.computesOnly !== true) return [];
    // Grants that have left the policy are named nowhere: where nobody else signs for this audience, all of it is this issuer's.
    const others = [...issuersHere.keys()].some((name) => name !== issuer);
    return others ? (issuersHere.get(issuer) ?? []) : "all";
  };
  return { grants, foreign, ofIssuer };
}

/** The entries that concern an audience, each lease once and each mark with its latest instant. */
export function tell(entries: Iterable<FeedEntry>, concern: Concern): Told {
  const leases = new Map<LeaseId, number>();
  const marks = new Map<string, ToldMark>();
  for (const entry of entries) {
    if (entry.kind === "lease") {
      if (!concern.foreign.has(entry.grant)) leases.set(entry.lease, Math.max(entry.expiresAt, leases.get(entry.lease) ?? 0));
      continue;
    }
    for (const mark of markFor(entry.scope, entry.at, concern)) {
      const key = `${mark.scope} ${mark.name}`;
      if ((marks.get(key)?.at ?? -1) < mark.at) marks.set(key, mark);
    }
  }
  return { leases: [...leases], marks: [...marks.values()] };
}

function markFor(scope: MarkScope, at: number, concern: Concern): readonly ToldMark[] {
  switch (scope.kind) {
    case "all":
      return [{ scope: "all", name: "", at }];
    case "grant":
      return concern.foreign.has(scope.name) ? [] : [{ scope: "grant", name: scope.name, at }];
    case "issuer": {
      const names = concern.ofIssuer(scope.name);
      if (names === "all") return [{ scope: "all", name: "", at }];
      return names.map((name) => ({ scope: "grant" as const, name, at }));
    }
    case "workload":
    case "trust":
    case "key":
      return [{ scope: scope.kind, name: scope.name, at }];
  }
}
