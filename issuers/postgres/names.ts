import type { LeaseId } from "../../domain/ids.ts";
import { leaseOf, nameFor } from "../naming.ts";

/** The role of a lease. */
export const roleOf = (lease: LeaseId): string => nameFor(lease, "plain");
export const leaseOfRole = (role: string): LeaseId | undefined => leaseOf(role, "plain");

/** The comment that every role of ours carries: before the role's own name. Which broker made it is part of it, so two never mix. */
export const markOf = (broker: string): string => `Made by Stint at ${broker} for `;
