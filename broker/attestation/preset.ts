const MINUTE = 60_000;
export const HOUR_MS = 60 * MINUTE;
export const TEN_MINUTES_MS = 10 * MINUTE;

/** What is known of a kind of identity provider. Pure data: the loader takes defaults from it, the linter its knowledge of claims. */
export interface Preset {
  /** Signature algorithms accepted unless the trust says otherwise. */
  readonly algorithms: readonly string[];
  /** Default templates. No `task`: the platform names no single job, so every request opens a task of its own. */
  readonly id: string;
  readonly workload: string;
  readonly task: string | undefined;
  /** 1: the platform makes a fresh token for every call. 100: it hands the same token out again. */
  readonly maxUses: 1 | 100;
  /** A token older than this since `iat` is refused, whatever its `exp`, in milliseconds. */
  readonly maxAgeMs: number;
  /**
   * Sets of claims (names or JSON Pointers); conditions on every member of one set bind a rule to an owner.
   * Each member is an anchor claim for the candidate rule.
   */
  readonly anchors: readonly (readonly string[])[];
  /** Claims whose values compare without regard to case, because the platform does. Never git refs. */
  readonly foldsCase: readonly string[];
  /** Every claim the platform is known to send, for spelling hints. `prefixes` are open-ended families. */
  readonly claims: readonly string[];
  readonly prefixes: readonly string[];
  /** Immutable identifiers. */
  readonly idClaims: readonly string[];
  /** Names that may be renamed, released and taken by somebody else, or set by whoever starts the run. */
  readonly mutableClaims: readonly string[];
  /** Triggers that let an outsider start or feed a run that carries the owner's identity. */
  readonly unsafeEvents: { readonly claim: string; readonly values: readonly string[] } | undefined;
}

/** The names in a text, for lists too long to quote one by one. */
export const words = (text: string): readonly string[] => text.trim().split(/\s+/);

/** RFC 7519 section 4.1. */
export const REGISTERED_CLAIMS = words("iss sub aud exp iat nbf jti");
