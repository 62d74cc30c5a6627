import type { Confirmation } from "./confirmation.ts";
import { sha256 } from "./digest.ts";
import { VerifyError } from "./errors.ts";

/**
 * Checks tokens with `cnf.x5t#S256` (RFC 8705 section 3) against the certificate of the connection, as the adapter hands it over:
 * one of a verifier's `confirmations`. A header is believed only where the adapter was told whose.
 */
export function clientCertificate(): Confirmation {
  return {
    method: "x5t#S256",
    scheme: "Bearer",
    async confirm({ expected, claims, presentation: { certificate } }) {
      const lease = claims.lease_id;
      if (certificate === undefined) throw new VerifyError("proof_needed", { lease, detail: "the connection has no client certificate" });
      // a copy, so that a buffer which shares its memory with others is digested as it stands
      if ((await sha256(Uint8Array.from(certificate))) !== expected)
        throw new VerifyError("proof_needed", { lease, detail: "it is bound to another client certificate" });
      return undefined;
    },
  };
}
