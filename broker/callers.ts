import type { Secret } from "../domain/secret.ts";
import type { Possession } from "./dpop/possession.ts";

/** Where a request came from; every method that may refuse or record takes one. */
export interface Origin {
  readonly ip: string;
  readonly traceId: string;
  /** As the audit and denials name it, for example `POST /oauth2/token`. */
  readonly route: string;
  readonly possession?: Possession;
}

/** What a caller sent with `Idempotency-Key`: the key as sent and the SHA-256 (hex) of the request's body. */
export interface IdempotencyHint {
  readonly key: string;
  readonly bodySha256: string;
}

/** Each may do what those before it may. */
export const ROLES = ["viewer", "approver", "responder", "admin"] as const;
export type Role = (typeof ROLES)[number];

/** A person or a tool that holds an operator token. */
export interface Operator {
  readonly name: string;
  readonly role: Role;
}

/** Who may see or end a thing: whoever holds its task token or credential, or an operator. */
export type Caller = { readonly kind: "bearer"; readonly token: Secret } | { readonly kind: "operator"; readonly operator: Operator };

/** What is asked of a grant, with evidence or under a task. */
export interface GrantRequest {
  /** Undefined: found by audience. */
  readonly grant: string | undefined;
  readonly scope: readonly string[];
  readonly ttlMs: number | undefined;
  readonly purpose: string;
  readonly environment: string;
  readonly resource: string;
  /** What the issuer takes beside: a public key, a CSR. */
  readonly options?: Readonly<Record<string, unknown>> | undefined;
}
