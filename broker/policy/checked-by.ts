import type { RevocationClass } from "../../domain/lease.ts";
import type { Verifier } from "./policy.ts";

/**
 * How a signed token for this audience dies (decision 0015): `verifier_checked` only where every registered verifier of it
 * reads the feed or asks us before it believes one. A single verifier that does neither, or none registered at all, leaves
 * `expiry_only`.
 */
export function classByVerifiers(
  audience: string | undefined,
  verifiers: Iterable<Pick<Verifier, "audience" | "checks">>,
): RevocationClass {
  if (audience === undefined) return "expiry_only";
  let checked = false;
  for (const verifier of verifiers) {
    if (verifier.audience !== audience) continue;
    if (verifier.checks !== "introspection" && verifier.checks !== "feed") return "expiry_only";
    checked = true;
  }
  return checked ? "verifier_checked" : "expiry_only";
}
