/** What an operator may do: viewer < approver < responder < admin. */
export const ROLES = ["viewer", "approver", "responder", "admin"] as const;
export type Role = (typeof ROLES)[number];
