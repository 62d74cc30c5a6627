import type { TokenType } from "../../domain/credential.ts";
import type { Secret } from "../../domain/secret.ts";
import type { Origin } from "../callers.ts";
import type { Verifier } from "../policy/policy.ts";

/** RFC 7662: inactive says nothing else at all. `claims` are the token's own. */
export type Introspection =
  | { readonly active: false }
  | { readonly active: true; readonly tokenType: "Bearer" | "DPoP" | "N_A"; readonly claims: Readonly<Record<string, unknown>> };

export interface IntrospectionService {
  /** True only for a live token of ours whose audience this verifier speaks for. Never throws for a bad token. */
  check(token: Secret, verifier: Verifier): Promise<Introspection>;
}

/** What kind of token an exchange asked for (`requested_token_type`, RFC 8693 section 2.1); another kind is refused. */
export interface AskedTokenType {
  readonly tokenType?: TokenType | undefined;
}

export interface TokenService {
  /** RFC 7009: holding it is the proof. A credential ends its lease; a task token, its task. Anything else is nothing. */
  revoke(token: Secret, origin: Origin): Promise<void>;
}
