import type { Issuer } from "../../domain/credential.ts";
import type { Policy } from "../policy/policy.ts";

/** Whether tokens for this audience say where their status is: some verifier of it reads status lists before it believes one. */
export function wantsStatus(issuer: Pick<Issuer, "computesOnly">, audience: string | undefined, policy: Policy): boolean {
  if (!issuer.computesOnly || audience === undefined) return false;
  for (const verifier of policy.verifiers.values()) if (verifier.audience === audience && verifier.checks === "status_list") return true;
  return false;
}
