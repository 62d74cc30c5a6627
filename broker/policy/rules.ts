import type { Condition } from "./conditions.ts";
import type { When } from "../../actions/cel.ts";
import type { Grant } from "./policy.ts";

/** One entry of `allow` or `deny`, compiled for one trust (whose preset says how claims compare). */
export interface Rule {
  /** `deploy-prod.allow[0]` */
  readonly id: string;
  readonly effect: "allow" | "deny";
  readonly file: string;
  readonly line: number;
  /** Anchor conditions come first. */
  readonly conditions: readonly Condition[];
  readonly anchors: number;
  readonly when: When | undefined;
}

/** What one trust's callers meet at a grant. */
export interface TrustRules {
  readonly allow: readonly Rule[];
  readonly deny: readonly Rule[];
}

/** A grant with its rules, indexed by trust. A trust that no allow rule names is not in it. */
export interface GrantRules {
  readonly grant: Grant;
  /** Its allow and deny rules as text: another text after a reload means other rules. */
  readonly ground: string;
  readonly byTrust: ReadonlyMap<string, TrustRules>;
  /** Every rule as written, for the trace. */
  readonly written: readonly {
    readonly id: string;
    readonly effect: "allow" | "deny";
    readonly trust: string | undefined;
    readonly file: string;
    readonly line: number;
  }[];
}
