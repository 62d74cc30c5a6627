import type { Issuer, TokenType } from "../../domain/credential.ts";
import type { TaskId } from "../../domain/ids.ts";
import type { LimitedBy, RevocationClass } from "../../domain/lease.ts";
import type { Principal } from "../../domain/principal.ts";
import type { TaskRef } from "../../store/api.ts";
import type { GrantRequest, IdempotencyHint, Origin } from "../callers.ts";
import type { Allowed } from "../policy/decide.ts";
import type { Policy } from "../policy/policy.ts";

/** A request whose asker is known. */
export interface IssueRequest {
  readonly principal: Principal;
  readonly request: GrantRequest;
  readonly audiences: readonly string[];
  readonly task: TaskRef;
  readonly parent: TaskId | undefined;
  /** End of the evidence, where it is a token of our own. */
  readonly evidenceEndsAt: number | undefined;
  readonly idempotency: IdempotencyHint | undefined;
  /** The answer has room for one bearer token only, as the token endpoint's has. */
  readonly bearerOnly?: boolean;
  /** The kind of token it must be, where the asker said. */
  readonly tokenType?: TokenType | undefined;
  readonly origin: Origin;
}

/** One request on its way through: what was decided, before anything is written. */
export interface Plan {
  readonly asked: IssueRequest;
  readonly policy: Policy;
  readonly verdict: Allowed;
  readonly keyId: string | undefined;
  readonly issuer: Issuer;
  readonly params: unknown;
  /** What was asked beside, as the issuer reads it. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly ttlMs: number;
  readonly limitedBy: LimitedBy;
  readonly revocation: RevocationClass;
  /** The token says where its status can be read. */
  readonly hasStatus: boolean;
}
