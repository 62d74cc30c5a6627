import { StintError } from "../../domain/errors.ts";
import { bucketOfSubject } from "../../domain/ids.ts";
import { sameKey, type HolderKey } from "../../domain/possession.ts";
import type { Principal } from "../../domain/principal.ts";
import type { Parts } from "../parts.ts";
import type { CheckedProof } from "./proof.ts";

/** What a request proves beside what it presents. */
export interface Possession {
  /** Scheme of Authorization; undefined where the token stands in the body. A proof for scheme DPoP was made for that very token. */
  readonly scheme: "Bearer" | "DPoP" | undefined;
  readonly proof: CheckedProof | undefined;
  /** SHA-256 of the client's certificate (DER), base64url: from our own TLS or a trusted proxy. */
  readonly certificate: string | undefined;
}

/** A key and, for DPoP, the proof that is still to be spent. */
export type Proven = Pick<Principal["evidence"], "key" | "proof">;

const NOTHING: Possession = { scheme: "Bearer", proof: undefined, certificate: undefined };

/**
 * The key that the holder of a token of ours has proven: the one it is bound to, or `binding_mismatch`. A token that is bound is
 * never taken without, nor by another scheme than its own, nor one that is not bound as if it were (RFC 9449 section 7.1).
 */
export function provenHolder(bound: HolderKey | undefined, possession: Possession = NOTHING): Proven {
  const { scheme, proof, certificate } = possession;
  if (bound === undefined) {
    if (scheme === "DPoP") throw new StintError("binding_mismatch", "this token is not bound to a key: present it as Bearer");
    return provenKey(possession, undefined);
  }
  if (bound.method === "x5t#S256") {
    if (scheme === "DPoP" || !sameKey(bound, certificateKey(certificate)))
      throw new StintError("binding_mismatch", "this token is bound to a client certificate that this connection has not proven");
    return { key: bound };
  }
  if (scheme === "Bearer")
    throw new StintError("binding_mismatch", "this token is bound to a key: present it as DPoP with a proof of that key");
  if (proof === undefined) throw new StintError("binding_mismatch", "this token is bound to a key: send a DPoP proof of that key");
  if (proof.thumbprint !== bound.thumbprint)
    throw new StintError("binding_mismatch", "the DPoP proof is of another key than the token is bound to");
  return { key: bound, proof: proof.use };
}

/** The key that comes with outside evidence: of a DPoP proof, or of the client's certificate where the request asks to be bound to it. */
export function provenKey(possession: Possession = NOTHING, bind: "certificate" | undefined): Proven {
  const { proof, certificate } = possession;
  if (bind === undefined) return proof === undefined ? {} : { key: { method: "jkt", thumbprint: proof.thumbprint }, proof: proof.use };
  if (proof !== undefined)
    throw new StintError("invalid_request", "a credential is bound to one key: send a DPoP proof or bind=certificate, not both");
  const key = certificateKey(certificate);
  if (key === undefined)
    throw new StintError("invalid_request", "bind=certificate needs a client certificate on the connection, and none was proven");
  return { key };
}

/** The principal with what was proven: from here on everything made for it is bound to that key. */
export const withKey = (principal: Principal, proven: Proven): Principal =>
  proven.key === undefined ? principal : { ...principal, evidence: { ...principal.evidence, ...proven } };

/** Spends the proof of a request that no opening script will spend. Throws `invalid_dpop_proof` when it was used before. */
export async function spendProof(parts: Pick<Parts, "store">, { subject, evidence: { proof } }: Principal): Promise<void> {
  if (proof !== undefined && !(await parts.store.proofs.spend(bucketOfSubject(subject), proof))) throw replayedProof();
}

export const replayedProof = (): StintError =>
  new StintError("invalid_dpop_proof", "the DPoP proof has been used before: make a new one for every request");

const certificateKey = (thumbprint: string | undefined): HolderKey | undefined =>
  thumbprint === undefined ? undefined : { method: "x5t#S256", thumbprint };
