import { StintError } from "../../domain/errors.ts";
import { isId, type LeaseId } from "../../domain/ids.ts";
import type { Lease } from "../../domain/lease.ts";
import type { Secret } from "../../domain/secret.ts";
import type { Parts } from "../parts.ts";
import type { TaskTokens } from "../tasks/token.ts";
import { leaseIdOfCredential } from "./own-token.ts";

/** Foreign and unknown leases look alike. */
export const noSuchLease = (): StintError => new StintError("not_found", "there is no such lease, or it is not yours");

type AccessParts = Pick<Parts, "store" | "signatures" | "url">;

export function requireLeaseId(id: string): LeaseId {
  if (!isId("lease", id)) throw noSuchLease();
  return id;
}

/** The lease, for whoever holds its task's token or its own credential. Throws `unauthenticated` or `not_found`. */
export async function leaseOfHolder(parts: AccessParts, tokens: TaskTokens, id: string, token: Secret): Promise<Lease> {
  const leaseId = requireLeaseId(id);
  const holder = await tokens.verifyEnded(token);
  if (holder === undefined) {
    const own = await leaseIdOfCredential(parts, token);
    if (own === undefined)
      throw new StintError("unauthenticated", "present the task token, or the credential of this very lease, as a Bearer token");
    if (own !== leaseId) throw noSuchLease();
  }
  const lease = await parts.store.leases.get(leaseId);
  if (lease === undefined || (holder !== undefined && lease.task !== holder.taskId)) throw noSuchLease();
  return lease;
}
