import type { PublishedDocument, TargetFacts } from "../../domain/credential.ts";
import type { RevocationClass } from "../../domain/lease.ts";
import type { Operator, Origin } from "../callers.ts";
import type { Findings } from "./reconcile.ts";
import type { Trouble } from "./state.ts";

/** One target as it stands. */
export interface TargetStanding {
  readonly name: string;
  readonly kind: string;
  readonly owner: string | undefined;
  /** `left_alone`: it failed several times in a row and is not called for a moment; `retired`: the policy no longer has it. */
  readonly state: "open" | "failing" | "left_alone" | "retired";
  readonly revocation: RevocationClass;
  /** In this broker, now. */
  readonly making: number;
  readonly ending: number;
  readonly waiting: number;
  readonly facts: TargetFacts | undefined;
  readonly findings: Findings | undefined;
  readonly trouble: Trouble | undefined;
}

/** Places at which credentials are made. Unknown names throw `not_found`. */
export interface TargetService {
  list(): readonly TargetStanding[];
  /** What a target publishes under that name. */
  document(target: string, name: string): Promise<{ readonly body: Uint8Array } & Pick<PublishedDocument, "contentType" | "maxAge">>;
  /**
   * Compares a target with the store now; with `shown` only says what would be done. Done on hold for every target that can list, it
   * lifts the hold: what the store lost is gone at its targets too.
   */
  reconcile(target: string, mode: Findings["mode"], operator: Operator, reason: string, origin: Origin): Promise<Findings>;
  /** Changes the broker's own password or key there. */
  rotate(target: string, operator: Operator, reason: string, origin: Origin): Promise<TargetStanding>;
}
