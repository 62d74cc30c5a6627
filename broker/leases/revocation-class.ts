import type { Issuer } from "../../domain/credential.ts";
import type { RevocationClass } from "../../domain/lease.ts";
import { classByVerifiers } from "../policy/checked-by.ts";
import type { Policy } from "../policy/policy.ts";

/** How a credential of this issuer for this audience dies. An issuer that ends credentials at the target says so itself. */
export const revocationClassOf = (
  issuer: Pick<Issuer, "computesOnly" | "revocation">,
  audience: string | undefined,
  policy: Policy,
): RevocationClass => (issuer.computesOnly ? classByVerifiers(audience, policy.verifiers.values()) : issuer.revocation);
