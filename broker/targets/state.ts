import type { TargetFacts } from "../../domain/credential.ts";
import type { Findings } from "./reconcile.ts";

/** What went wrong at a target, in which call, and when. */
export interface Trouble {
  readonly at: number;
  readonly what: "reconcile" | "examine" | "rotate" | "issue" | "revoke";
  readonly error: string;
}

/** What a target told us when it was last asked. */
export interface TargetState {
  findings?: Findings;
  facts?: TargetFacts;
  /** The last thing that went wrong, until the same works again. */
  trouble?: Trouble;
  /** Something was done, as far as that could be: what is left is known, tried again, and keeps nobody from issuing. */
  comparedAt?: number;
  /** And nothing was left. */
  reconciledAt?: number;
  examinedAt?: number;
}

/** When a target was last compared, if that was not before `since`. */
export const foundSince = (findings: Findings | undefined, since: number | undefined): number | undefined =>
  findings === undefined || findings.at < (since ?? 0) ? undefined : findings.at;
