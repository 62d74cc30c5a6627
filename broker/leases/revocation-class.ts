import type { Issuer } from "../../domain/credential.ts";
import type { RevocationClass } from "../../domain/lease.ts";
import type { Policy } from "../policy/policy.ts";

/**
 * How a credential of this issuer for this audience dies (CORE, Feed; decision 0015). An issuer that ends credentials at the
 * target says so itself. A signed token is `verifier_checked` only where every registered verifier of its audience reads the feed or
 * asks us before it believes one; a single verifier that does neither, or none registered at all, leaves `expiry_only`.
 */
export function revocationClassOf(
  issuer: Pick<Issuer, "computesOnly" | "revocation">,
  audience: string | undefined,
  policy: Policy,
): RevocationClass {
  if (!issuer.computesOnly) return issuer.revocation;
  if (audience === undefined) return "expiry_only";
  let checked = false;
  for (const verifier of policy.verifiers.values()) {
    if (verifier.audience !== audience) continue;
    if (verifier.checks !== "introspection" && verifier.checks !== "feed") return "expiry_only";
    checked = true;
  }
  return checked ? "verifier_checked" : "expiry_only";
}
