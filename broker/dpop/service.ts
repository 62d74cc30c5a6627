import type { Secret } from "../../domain/secret.ts";
import type { Clock } from "../../domain/time.ts";
import { createNonces } from "./nonce.ts";
import { checkProof, type CheckedProof } from "./proof.ts";

/** DPoP at the broker (RFC 9449): proofs are checked where a request comes in, and spent by whatever acts on them. */
export interface ProofService {
  /** Throws `invalid_dpop_proof` or `use_dpop_nonce`. `token`: the one in `Authorization: DPoP`. */
  check(
    proof: string,
    request: { readonly method: string; readonly path: string; readonly token: Secret | undefined },
  ): Promise<CheckedProof>;
  /** For the `DPoP-Nonce` header of every answer to a request with a proof. */
  nonce(): string;
}

/** Proofs for the broker at `url` (`STINT_URL`). Every one needs a nonce of ours: none can be made ahead of its time. */
export function createProofs(parts: { readonly url: string; readonly masterKeys: readonly Buffer[]; readonly clock: Clock }): ProofService {
  const nonces = createNonces(parts.masterKeys, parts.clock);
  return {
    check: (proof, { method, path, token }) =>
      checkProof(proof, { method, url: parts.url + path, token, now: parts.clock(), isNonce: (nonce) => nonces.isCurrent(nonce) }),
    nonce: () => nonces.current(),
  };
}
