import type { AuditFacts } from "../../domain/audit-event.ts";
import { endingOf } from "../../store/records.ts";
import type { Origin } from "../callers.ts";
import type { Parts } from "../parts.ts";
import { revokeWithin } from "../tasks/end.ts";
import { receiptLease } from "../tasks/receipt.ts";
import type { TaskTokens } from "../tasks/token.ts";
import type { EndedBy, Lease } from "../../domain/lease.ts";
import { leaseOfHolder, noSuchLease, requireLeaseId } from "./access.ts";
import type { LeaseService } from "./api.ts";
import { renew } from "./renew.ts";

interface Ender {
  readonly principal: string;
  readonly origin: Origin;
  readonly reason?: string;
}

/** Ends one lease for a reason, tries its target for at most two seconds, and answers how it stands then. */
export async function endLease(parts: Parts, id: Lease["id"], by: EndedBy, who: Ender): Promise<Lease | undefined> {
  return told(parts, await parts.store.leases.end(id, by, factsOf(who)));
}

/** The same for a lease that still lives; undefined, and nothing happens, for any other. */
export async function endLiveLease(parts: Parts, id: Lease["id"], by: EndedBy, who: Ender): Promise<Lease | undefined> {
  return told(parts, await parts.store.leases.endLive(id, by, factsOf(who)));
}

const factsOf = (who: Ender): AuditFacts => ({
  action: "lease.ended",
  principal: who.principal,
  ...(who.reason === undefined ? {} : { reason: who.reason }),
  trace_id: who.origin.traceId,
});

async function told(parts: Parts, ended: Lease | undefined): Promise<Lease | undefined> {
  if (ended === undefined) return undefined;
  const { id } = ended;
  parts.events.publish("lease.ended", {
    lease: id,
    task: ended.task,
    workload: ended.workload,
    grant: ended.grant,
    ended_by: ended.endedBy,
  });
  if (ended.state !== "revoking") return ended;
  await revokeWithin(parts, [id]);
  return (await parts.store.leases.get(id)) ?? ended;
}

export function createLeases(parts: Parts, tokens: TaskTokens): LeaseService {
  return {
    async get(id, caller, origin) {
      if (caller.kind === "bearer") return leaseOfHolder(parts, tokens, id, caller.token, origin);
      const lease = await parts.store.leases.get(requireLeaseId(id));
      if (lease === undefined) throw noSuchLease();
      return lease;
    },

    list: (filter, cursor, limit) => parts.store.leases.list(filter, cursor, limit),

    async release(id, token, origin) {
      const held = await leaseOfHolder(parts, tokens, id, token, origin);
      const lease = await endLease(parts, held.id, "released", { principal: held.subject, origin });
      if (lease === undefined) throw noSuchLease();
      const ending = endingOf({ lease });
      await parts.facts.awaited([ending]);
      const [known = ending] = await parts.facts.settled(lease.task, [ending]);
      return { lease, receipt: receiptLease(known, parts.now()) };
    },

    renew: (request) => renew(parts, tokens, request),

    async forceClose(id, operator, reason) {
      const leaseId = requireLeaseId(id);
      // Only what is being ended can be given up: a live lease is first ended like any other.
      await parts.store.leases.end(leaseId, "revoked", { action: "lease.ended", principal: `operator:${operator.name}`, reason });
      const lease = await parts.store.leases.force(leaseId, operator.name, reason);
      if (lease === undefined) throw noSuchLease();
      if (lease.state === "forced") parts.events.publish("lease.forced", { lease: leaseId, by: operator.name });
      return lease;
    },
  };
}
