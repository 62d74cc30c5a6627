import { PermanentFailure } from "../../domain/credential.ts";
import { isId, type LeaseId } from "../../domain/ids.ts";
import { leaseOf, nameFor } from "../naming.ts";

/** The role of a lease. Throws for what is no lease's id: nothing else becomes a name at a server. */
export function roleOf(lease: LeaseId): string {
  if (!isId("lease", lease)) throw new PermanentFailure("that is no id of a lease: nothing was made or ended");
  return nameFor(lease, "plain");
}
export const leaseOfRole = (role: string): LeaseId | undefined => leaseOf(role, "plain");

/** The comment that every role of ours carries: before the role's own name. Which broker made it is part of it, so two never mix. */
export const markOf = (broker: string): string => `Made by Stint at ${broker} for `;
