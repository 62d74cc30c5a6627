/** What the brokers of a store share about each target: secrets that were made here, and what was revoked before its end. */
import type { RevokedSerial } from "../domain/target.ts";

export interface TargetStore {
  /** As it was sealed; undefined when there is none. */
  secret(target: string, name: string): Promise<string | undefined>;
  /** Writes only over `from` (undefined: over nothing). */
  swapSecret(target: string, name: string, from: string | undefined, to: string): Promise<"swapped" | "changed">;
  /** Every sealed secret of these targets. */
  secrets(targets: readonly string[]): Promise<readonly { readonly target: string; readonly name: string; readonly sealed: string }[]>;
  /** Names of the targets that have secrets here, whether or not the policy still has them. */
  names(): Promise<readonly string[]>;
  /** Notes a serial as revoked until `expiresAt`. */
  revokeSerial(target: string, serial: string, expiresAt: number): Promise<"revoked" | "already_gone">;
  /** Those that have not expired, in order of expiry; `number` grows with every change and with time, also over a store that was emptied. */
  revokedSerials(target: string): Promise<{ readonly number: number; readonly entries: readonly RevokedSerial[] }>;
}
