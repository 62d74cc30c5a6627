import { StintError } from "../../domain/errors.ts";
import { bucketOfId, isId, type LeaseId } from "../../domain/ids.ts";
import type { Lease } from "../../domain/lease.ts";
import type { Secret } from "../../domain/secret.ts";
import { keyOfConfirmation } from "../../domain/possession.ts";
import type { Origin } from "../callers.ts";
import { provenHolder, replayedProof } from "../dpop/possession.ts";
import type { Parts } from "../parts.ts";
import { proven, spent } from "../tasks/holder.ts";
import type { TaskTokens } from "../tasks/token.ts";
import { leaseIdOfCredential, readOwnToken } from "./own-token.ts";

/** Foreign and unknown leases look alike. */
export const noSuchLease = (): StintError => new StintError("not_found", "there is no such lease, or it is not yours");

type AccessParts = Pick<Parts, "store" | "signatures" | "url">;

export function requireLeaseId(id: string): LeaseId {
  if (!isId("lease", id)) throw noSuchLease();
  return id;
}

/** The lease, for whoever holds its task's token or its own credential. Throws `unauthenticated`, `binding_mismatch` or `not_found`. */
export async function leaseOfHolder(parts: AccessParts, tokens: TaskTokens, id: string, token: Secret, origin: Origin): Promise<Lease> {
  const leaseId = requireLeaseId(id);
  const holder = await tokens.verifyEnded(token);
  if (holder !== undefined) await spent(parts, proven(holder, origin));
  else {
    const own = await ownLease(parts, token, origin);
    if (own === undefined)
      throw new StintError("unauthenticated", "present the task token, or the credential of this very lease, as a Bearer token");
    if (own !== leaseId) throw noSuchLease();
  }
  const lease = await parts.store.leases.get(leaseId);
  if (lease === undefined || (holder !== undefined && lease.task !== holder.taskId)) throw noSuchLease();
  return lease;
}

/** The lease whose credential this is. One that is bound to a key is nobody's without a proof of it. */
async function ownLease(parts: AccessParts, credential: Secret, origin: Origin): Promise<LeaseId | undefined> {
  const own = await readOwnToken(parts, credential);
  if (own === undefined) return leaseIdOfCredential(parts, credential);
  const key = keyOfConfirmation(own.claims["cnf"]);
  if (key === "unreadable") return undefined;
  const { proof } = provenHolder(key, origin.possession);
  if (key !== undefined && proof !== undefined && !(await parts.store.proofs.spend(bucketOfId(own.leaseId), proof))) throw replayedProof();
  return own.leaseId;
}
