import type { z } from "zod";
import type { Issuer } from "./credential.ts";
import type { RevocationClass } from "./lease.ts";
import type { Secret } from "./secret.ts";
import type { Clock } from "./time.ts";

/** `env:NAME` or `file:PATH`: where a Target's own credential is read from, each time it is needed, so that it may change. */
export type SecretReference = `env:${string}` | `file:${string}`;

/** One kind of credential that is made at targets: a line of the catalog. `S` are a Target's settings, `P` a grant's. */
export interface IssuerKind<S = unknown, P = unknown> {
  /** What a Target says as `issuer`. */
  readonly kind: string;
  /** Members of a Target document beside kind, name, owner and issuer. Strict. */
  readonly settings: z.ZodType<S>;
  /** Members under a grant's `issue` beside target, audience, scope, ttl and max_ttl. Strict; may depend on what the target offers. */
  params(settings: S): z.ZodType<P>;
  /** How its credentials die there: its issuer's `revocation`. */
  revocation(settings: S): RevocationClass;
  /** Whether the broker has a password or key of its own there, which a schedule (`rotate`) can change. Absent: never. */
  rotates?(settings: S): boolean;
  /** The issuer at one target. Connects to nothing yet: it is called while the policy is loaded. */
  open(target: OpenTarget<S>, ports: TargetPorts): Issuer<P>;
}

/** A `kind: Target` document, checked. */
export interface OpenTarget<S = unknown> {
  readonly name: string;
  readonly owner: string | undefined;
  readonly settings: S;
}

/** What an issuer at a target needs from outside. */
export interface TargetPorts {
  /** `STINT_URL`: what we make is marked with it, so that two brokers at one target never end each other's. */
  readonly broker: string;
  readonly clock: Clock;
  /** Reads a secret anew. Throws `RetryableFailure` when it is not there. */
  secret(reference: SecretReference): Promise<Secret>;
  /** Secrets of this target that we made ourselves: a CA's key, a password we changed. Sealed, shared by all brokers of the store. */
  readonly vault: TargetVault;
  /** What was revoked before its end, for lists that others read. */
  readonly revoked: RevokedSerials;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
}

export interface TargetVault {
  read(name: string): Promise<Secret | undefined>;
  /** Writes `after` if the value is still `before` (undefined: there is none); false when somebody else was faster. */
  swap(name: string, before: Secret | undefined, after: Secret): Promise<boolean>;
}

export interface RevokedSerials {
  /** Durable when it resolves. Entries leave after `expiresAt` (milliseconds). Twice is success: `already_gone`. */
  add(serial: string, expiresAt: number): Promise<"revoked" | "already_gone">;
  /** All that still matter; `number` grows with every change and never goes back. */
  all(): Promise<{ readonly number: number; readonly entries: readonly RevokedSerial[] }>;
}

export interface RevokedSerial {
  readonly serial: string;
  readonly revokedAt: number;
  readonly expiresAt: number;
}
