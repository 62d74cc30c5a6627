/** What an operator may do: viewer < approver < responder < admin (CONTRACT section 4). */
export const ROLES = ["viewer", "approver", "responder", "admin"] as const;
export type Role = (typeof ROLES)[number];
