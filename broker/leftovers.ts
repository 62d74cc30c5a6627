import type { Lease } from "../domain/lease.ts";
import type { Parts } from "./parts.ts";
import { leftovers, nothingVanished, vanished } from "./policy/diff.ts";
import type { Policy } from "./policy/policy.ts";

/** Live leases that one report looks at. */
const WALK = 20_000;

/** Says which live leases a reload would no longer grant, and the command that ends them. It ends none itself. */
export async function reportLeftovers(parts: Pick<Parts, "store" | "log">, before: Policy, after: Policy): Promise<void> {
  const gone = vanished(before, after);
  if (nothingVanished(gone)) return;
  const live = new Map<string, Lease>();
  const grants = new Set([...gone.grants, ...gone.pairs.map(({ grant }) => grant), ...gone.changed]);
  const filters = [...[...grants].map((grant) => ({ grant })), ...gone.trusts.map((trust) => ({ trust }))];
  for (const filter of filters) {
    let cursor: string | undefined;
    do {
      const page = await parts.store.leases.list({ ...filter, state: "active" }, cursor, 200);
      for (const lease of page.items) live.set(lease.id, lease);
      cursor = page.nextCursor;
    } while (cursor !== undefined && live.size < WALK);
  }
  for (const { what, leases, workloads, command } of leftovers(gone, live.values())) {
    parts.log.warn({ what, leases, workloads, command }, "live leases would no longer be granted; a reload ends none");
  }
}
