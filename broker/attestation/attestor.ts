import type { Principal } from "../../domain/principal.ts";
import type { KeysState } from "./keys.ts";

/** Evidence in, principal out. */
export interface Attestor {
  /**
   * Says who presents this token, or throws `StintError`: `invalid_identity issuer_unknown audience_mismatch token_expired clock_skew
   * identity_incomplete identity_keys_unavailable`. Until the signature is checked a message speaks of the token's shape only, its own
   * `iss` and `aud` apart. Nothing is spent here: the store counts `evidence`.
   */
  attest(token: string): Promise<Principal>;
  /** Drops the cached keys of one trust, or of all. */
  forgetKeys(trust?: string): void;
  /** How the keys of every trust that was asked for stand. */
  keys(): readonly KeysState[];
}
