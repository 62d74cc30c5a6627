import type { TaskId } from "./ids.ts";
import type { HolderKey, ProofUse } from "./possession.ts";

/** Verified claims of evidence: plain JSON, parsed with duplicate members refused. */
export type Claims = Readonly<Record<string, unknown>>;

const TEXTS = new WeakMap<Claims, string>();

/** Claims as JSON text. A request needs it several times: made once. Claims are never changed. */
export function claimsText(claims: Claims): string {
  let text = TEXTS.get(claims);
  if (text === undefined) TEXTS.set(claims, (text = JSON.stringify(claims)));
  return text;
}

/** The text that claims were read from, where it is known: it says the same, and need not be written anew. */
export function readFrom(claims: Claims, text: string): void {
  TEXTS.set(claims, text);
}

/** How often, and until when, a piece of evidence may still be used; the store counts. */
export interface EvidenceUse {
  /**
   * Names the evidence without holding it: a SHA-256, base64url, over issuer, subject and `jti` of a single-use token that has one,
   * else over the compact token without its signature (an ECDSA signature can be rewritten into another valid one, which must not
   * pass for fresh evidence).
   */
  readonly hash: string;
  /** From this instant on the evidence is refused for its time alone (`exp` or its greatest age, and the skew allowed), in milliseconds. */
  readonly expiresAt: number;
  /** 1 for single use, 100 for cached presets; undefined when the evidence is a task token of ours, which may be used at will. */
  readonly maxUses: number | undefined;
  /** The key that its presenter has proven: what comes of the evidence is bound to it, and so is evidence of many uses from then on. */
  readonly key?: HolderKey | undefined;
  /** The proof, where it is still to be spent by the script that acts on it. */
  readonly proof?: ProofUse | undefined;
}

/** Who attestation says is asking. */
export interface Principal {
  /** Name of the Trust that vouched. */
  readonly trust: string;
  /** `<trust>:<id>`: immutable, keys budgets, locks and marks; `sub` and `client_id` of issued tokens. */
  readonly subject: string;
  /** What people see, for example `github/acme/shop`. */
  readonly workload: string;
  /** The trust's `task` template, rendered; undefined when a claim it needs is missing (then every request opens a task of its own). */
  readonly taskValue: string | undefined;
  readonly claims: Claims;
  readonly evidence: EvidenceUse;
  /** Set when the evidence was a task token: the request belongs to this task. */
  readonly taskId?: TaskId;
}
