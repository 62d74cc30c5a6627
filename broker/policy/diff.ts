import { CompiledPolicy } from "./compile.ts";
import type { Policy } from "./policy.ts";

/** Of a live lease, what a reload can be held against. Its claims are not kept. */
export interface LiveLease {
  readonly grant: string;
  readonly trust: string;
  readonly workload: string;
}

/** What a reload took away. */
export interface Vanished {
  readonly grants: readonly string[];
  readonly trusts: readonly string[];
  /** Grants whose allow rules no longer name a trust that they named. */
  readonly pairs: readonly { readonly grant: string; readonly trust: string }[];
  /** Grants whose rules are others now. Leases keep no claims, so which of them would still be granted cannot be told. */
  readonly changed: readonly string[];
}

/** Live leases that would no longer be granted, and the command that ends them. A reload itself never revokes. */
export interface Leftover {
  readonly what: string;
  readonly leases: number;
  /** Ten at most. */
  readonly workloads: readonly string[];
  readonly command: string;
}

/** Grants, trusts and pairs of the two that are in `before` and not in `after`. */
export function vanished(before: Policy, after: Policy): Vanished {
  const grants = [...before.grants.keys()].filter((name) => !after.grants.has(name));
  const trusts = [...before.trusts.keys()].filter((name) => !after.trusts.has(name));
  const pairs = [...before.grants.keys()].flatMap((grant) =>
    grants.includes(grant)
      ? []
      : trustsOf(before, grant)
          .filter((trust) => !trusts.includes(trust) && !trustsOf(after, grant).includes(trust))
          .map((trust) => ({ grant, trust })),
  );
  const changed = [...before.grants.keys()].filter(
    (grant) => after.grants.has(grant) && groundOf(before, grant) !== groundOf(after, grant),
  );
  return { grants, trusts, pairs, changed };
}

const groundOf = (policy: Policy, grant: string): string | undefined =>
  policy instanceof CompiledPolicy ? policy.rules.get(grant)?.ground : undefined;

const trustsOf = (policy: Policy, grant: string): readonly string[] =>
  policy instanceof CompiledPolicy ? [...(policy.rules.get(grant)?.byTrust.keys() ?? [])] : [];

/** Whether a reload took nothing away: then live leases need not be looked at. */
export const nothingVanished = ({ grants, trusts, pairs, changed }: Vanished): boolean =>
  grants.length + trusts.length + pairs.length + changed.length === 0;

/** Sorts live leases by what took their ground away. Each is counted once: by its grant first, then its trust, then the pair. */
export function leftovers(gone: Vanished, leases: Iterable<LiveLease>): readonly Leftover[] {
  const found = new Map<string, { what: string; command: string; leases: number; workloads: Set<string> }>();
  for (const lease of leases) {
    const cause = causeOf(gone, lease);
    if (cause === undefined) continue;
    const entry = found.get(cause.what) ?? { ...cause, leases: 0, workloads: new Set<string>() };
    entry.leases++;
    if (entry.workloads.size < 10) entry.workloads.add(lease.workload);
    found.set(cause.what, entry);
  }
  return [...found.values()].map((entry) => ({ ...entry, workloads: [...entry.workloads] }));
}

function causeOf(gone: Vanished, lease: LiveLease): { readonly what: string; readonly command: string } | undefined {
  const revoke = (flag: string, name: string, reason: string): string => `stint revoke --${flag} ${name} --reason "${reason}"`;
  if (gone.grants.includes(lease.grant))
    return { what: `grant ${lease.grant} was removed`, command: revoke("grant", lease.grant, "grant removed") };
  if (gone.trusts.includes(lease.trust))
    return { what: `trust ${lease.trust} was removed`, command: revoke("trust", lease.trust, "trust removed") };
  if (gone.pairs.some(({ grant, trust }) => grant === lease.grant && trust === lease.trust))
    return {
      what: `grant ${lease.grant} no longer allows trust ${lease.trust}`,
      command: revoke("grant", lease.grant, `trust ${lease.trust} no longer allowed`),
    };
  if (!gone.changed.includes(lease.grant)) return undefined;
  return {
    what: `grant ${lease.grant} has other rules now: these may no longer be granted`,
    command: revoke("grant", lease.grant, "rules changed"),
  };
}
