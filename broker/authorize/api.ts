/** What the broker says of exact actions. Types only. */
import type { ErrorCode } from "../../domain/errors.ts";
import type { EventId } from "../../domain/ids.ts";
import type { Claims } from "../../domain/principal.ts";
import type { Secret } from "../../domain/secret.ts";
import type { Origin } from "../callers.ts";
import type { Verifier } from "../policy/policy.ts";

/** One action on a resource server. `target` is the path as it was asked for, with or without its query. */
export interface ActionQuestion {
  readonly subject:
    | {
        readonly kind: "token";
        readonly token: Secret;
        /** Whose the token must be, where the asker says so. */
        readonly subject?: string | undefined;
        /** Keys of which the asker has seen a proof, by member of `cnf`. */
        readonly proven?: Readonly<Record<string, string>> | undefined;
      }
    /** Claims that the verifier itself vouches for: it has checked the token, or knows the subject otherwise. */
    | { readonly kind: "asserted"; readonly claims: Claims };
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly ip: string;
  readonly context: Readonly<Record<string, unknown>>;
}

export type ActionAnswer =
  | { readonly allowed: true; readonly decisionId: EventId; readonly rule: string; readonly token: Claims }
  | {
      readonly allowed: false;
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint?: string | undefined;
      readonly denialId: string | undefined;
      readonly rule?: string | undefined;
      /** With `insufficient_scope`: all that is needed. */
      readonly scope?: readonly string[] | undefined;
      /** Absent where the token is not honoured. */
      readonly token?: Claims;
    };

export interface ActionService {
  /** Decides by the verifier's routes, and records a refusal. Throws only when nothing can be decided (`store_unavailable`). */
  decide(verifier: Verifier, question: ActionQuestion, origin: Origin): Promise<ActionAnswer>;
  /** Scopes of the route that would decide, for challenges. */
  scopeOf(verifier: Verifier, method: string, target: string): readonly string[];
}
