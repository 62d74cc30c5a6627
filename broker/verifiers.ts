import { hash, timingSafeEqual } from "node:crypto";
import type { Secret } from "../domain/secret.ts";
import type { Policy, Verifier } from "./policy/policy.ts";

export interface VerifierService {
  /** The verifier that this name and key belong to (constant-time); without a name, whichever holds the key. */
  authenticate(name: string | undefined, key: Secret): Verifier | undefined;
  /** The verifier of this name, for those whom their address has let in. */
  named(name: string): Verifier | undefined;
}

/** Admits the verifiers of the policy in force by name and key, in constant time whatever the name. */
export function createVerifiers(policy: () => Policy): VerifierService {
  return {
    authenticate(name, key) {
      const digest = Buffer.from(hash("sha256", key.reveal(), "hex"), "hex");
      let found: Verifier | undefined;
      for (const verifier of policy().verifiers.values()) {
        const named = name === undefined || verifier.name === name;
        for (const held of verifier.keyHashes) {
          const bytes = Buffer.from(held, "hex");
          if (bytes.length === digest.length && timingSafeEqual(bytes, digest) && named) found = verifier;
        }
      }
      return found;
    },
    named: (name) => policy().verifiers.get(name),
  };
}
