import type { AccessTokenClaims, Binding } from "./claims.ts";
import { VerifyError } from "./errors.ts";
import type { Presentation } from "./presentation.ts";

/** What a proof of possession is checked against. */
export interface Proof {
  /** The value of the token's `cnf` member. */
  readonly expected: string;
  readonly claims: AccessTokenClaims;
  readonly presentation: Presentation;
}

/** Headers for the answer to a request that was let through, such as a next `DPoP-Nonce`. */
export type ProofAnswer = Readonly<Record<string, string>> | undefined;

/** One way to prove that a token's bearer holds the key it is bound to: DPoP (`jkt`, RFC 9449), mTLS (`x5t#S256`, RFC 8705). */
export interface Confirmation {
  /** The member of `cnf` it knows. */
  readonly method: string;
  /** The Authorization scheme of tokens bound this way; any other is refused, so that a bound token is never taken as a bare one. */
  readonly scheme: "Bearer" | "DPoP";
  /** Parameters of the challenge of that scheme, such as `algs`. */
  readonly challenge?: Readonly<Record<string, string>>;
  /** Throws VerifyError when the proof is missing or wrong. */
  confirm(proof: Proof): ProofAnswer | Promise<ProofAnswer>;
}

/** Asks for the proof that a token's binding needs. A binding that nobody here can check is refused; so is a scheme that is not its own. */
export async function confirmBinding(
  confirmations: readonly Confirmation[],
  binding: Binding | undefined,
  claims: AccessTokenClaims,
  presentation: Presentation,
): Promise<ProofAnswer> {
  const lease = claims.lease_id;
  if (binding === undefined) {
    if (presentation.scheme !== "Bearer")
      throw new VerifyError("proof_needed", { lease, detail: "it is not bound, but was sent as if it were" });
    return undefined;
  }
  const confirmation = confirmations.find(({ method }) => method === binding.method);
  if (confirmation === undefined) throw new VerifyError("proof_needed", { lease, detail: "this verifier cannot check the proof" });
  const { scheme, challenge = {} } = confirmation;
  if (presentation.scheme !== scheme)
    throw new VerifyError("proof_needed", { lease, scheme, challenge, detail: `it is to be sent as ${scheme}` });
  return confirmation.confirm({ expected: binding.value, claims, presentation });
}
