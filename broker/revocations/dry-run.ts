import type { Lease, RevocationClass } from "../../domain/lease.ts";
import type { Parts } from "../parts.ts";
import type { DryRun } from "./api.ts";
import type { Resolved } from "./selector.ts";

/** Leases that a dry run looks at: it is asked by a person who waits. */
const WALK = 100_000;
const LISTED = 100;

/** What a revocation would end, without ending it. The walk is bounded; `truncated` says that it stopped there. */
export async function dryRunOf(parts: Pick<Parts, "store" | "now" | "facts">, resolved: Resolved): Promise<DryRun> {
  const tally = new Tally();
  const truncated = !(await walk(parts, resolved, tally));
  return {
    selector: resolved.stored,
    matched: tally.matched,
    tasks: tally.tasks.size,
    byIssuer: tally.groups(parts.now(), await parts.facts.delayMs(tally.grants)),
    leases: tally.leases,
    truncated,
  };
}

async function walk(parts: Pick<Parts, "store">, { target }: Resolved, tally: Tally): Promise<boolean> {
  if (target.kind === "lease") {
    const lease = await parts.store.leases.get(target.id);
    if (lease !== undefined) tally.add(lease);
    return true;
  }
  const pages = target.kind === "task" ? taskPages(parts, target.id) : markPages(parts, target.marks);
  for await (const leases of pages) {
    for (const lease of leases) tally.add(lease);
    if (tally.matched >= WALK) return false;
  }
  return true;
}

async function* taskPages(parts: Pick<Parts, "store">, task: string): AsyncGenerator<readonly Lease[]> {
  let cursor: string | undefined;
  do {
    const page = await parts.store.leases.list({ task }, cursor, 100);
    yield page.items;
    cursor = page.nextCursor;
  } while (cursor !== undefined);
}

async function* markPages(
  parts: Pick<Parts, "store">,
  marks: Extract<Resolved["target"], { readonly kind: "marks" }>["marks"],
): AsyncGenerator<readonly Lease[]> {
  for (const { scope, buckets } of marks) {
    for (const bucket of buckets) {
      let cursor: string | undefined;
      do {
        const page = await parts.store.revocations.count(bucket, scope, cursor);
        yield page.leases;
        cursor = page.nextCursor;
      } while (cursor !== undefined);
    }
  }
}

/** Counts by issuer and class; keeps the first hundred. */
class Tally {
  matched = 0;
  readonly tasks = new Set<string>();
  readonly grants = new Set<string>();
  readonly leases: Lease[] = [];
  /** An index that grows or shrinks while it is walked may bring one twice. */
  readonly #met = new Set<string>();
  readonly #groups = new Map<
    string,
    { readonly issuer: string; readonly revocation: RevocationClass; leases: number; lastExpiry: number }
  >();

  add(lease: Lease): void {
    if (lease.state === "revoked" || lease.state === "forced" || this.#met.has(lease.id)) return;
    this.#met.add(lease.id);
    this.matched += 1;
    this.tasks.add(lease.task);
    this.grants.add(lease.grant);
    if (this.leases.length < LISTED) this.leases.push(lease);
    const key = `${lease.issuer} ${lease.revocation}`;
    const group = this.#groups.get(key) ?? { issuer: lease.issuer, revocation: lease.revocation, leases: 0, lastExpiry: 0 };
    group.leases += 1;
    group.lastExpiry = Math.max(group.lastExpiry, lease.expiresAt);
    this.#groups.set(key, group);
  }

  /** What verifiers check would be dead when the last of them knows; what only expires, with the last of them; a target decides for itself. */
  groups(now: number, delayMs: number): DryRun["byIssuer"] {
    return [...this.#groups.values()].map(({ issuer, leases, revocation, lastExpiry }) => {
      const checked = Math.min(now + delayMs, lastExpiry);
      const deadBy = revocation === "expiry_only" ? lastExpiry : revocation === "verifier_checked" ? checked : undefined;
      return { issuer, leases, revocation, deadBy };
    });
  }
}
