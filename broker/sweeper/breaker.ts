import { PermanentFailure, RetryableFailure } from "../../domain/credential.ts";
import { StintError } from "../../domain/errors.ts";
import type { Clock } from "../../domain/time.ts";

/** Failures in a row that open a breaker, and how long it stays open before one call may try again. */
const FAILURES = 5;
const OPEN_MS = 15_000;

/**
 * Whether an error says that the target is not well. A refusal of one credential does not: whoever can bring that about, with an option
 * that nobody takes or by what its role leaves behind, must not keep everybody else from the target.
 */
export function blamesTarget(error: unknown): boolean {
  if (error instanceof StintError || error instanceof PermanentFailure) return false;
  return !(error instanceof RetryableFailure && error.aboutOne);
}

/** One per issuer: a target that is down must not be called a thousand times, nor hold up the others. */
export interface Breakers {
  /** Whether this issuer may be called now. While a breaker is half open only one call may. */
  allows(issuer: string): boolean;
  succeeded(issuer: string): void;
  failed(issuer: string, failure: Failure): void;
  /** It was allowed and found nothing to ask the target: nothing was learned of it. */
  notCalled(issuer: string): void;
  /** Issuers that are not called just now; for the log and the metrics. */
  open(): readonly string[];
  /** What went wrong at this issuer last, until a call succeeds there. */
  lastFailure(issuer: string): (Failure & { readonly at: number }) | undefined;
  /** Whom to tell that a call succeeded at an issuer that was left alone. */
  whenItRecovers(tell: (issuer: string) => void): void;
}

/** A call that failed: which, and the first line of what came of it. */
export interface Failure {
  readonly what: "issue" | "revoke";
  readonly error: string;
}

interface State {
  failures: number;
  openUntil: number;
  probing: boolean;
  last: (Failure & { readonly at: number }) | undefined;
}

export function createBreakers(now: Clock): Breakers {
  const states = new Map<string, State>();
  const stateOf = (issuer: string): State => {
    const known = states.get(issuer) ?? { failures: 0, openUntil: 0, probing: false, last: undefined };
    states.set(issuer, known);
    return known;
  };
  let tell: (issuer: string) => void = () => undefined;
  return {
    whenItRecovers: (told) => void (tell = told),
    allows(issuer) {
      const state = stateOf(issuer);
      if (state.failures < FAILURES) return true;
      if (state.probing || now() < state.openUntil) return false;
      state.probing = true;
      return true;
    },
    succeeded(issuer) {
      const failures = states.get(issuer)?.failures ?? 0;
      states.delete(issuer);
      if (failures >= FAILURES) tell(issuer);
    },
    failed(issuer, failure) {
      const state = stateOf(issuer);
      state.last = { ...failure, at: now() };
      state.failures += 1;
      state.probing = false;
      if (state.failures >= FAILURES) state.openUntil = now() + OPEN_MS;
    },
    notCalled(issuer) {
      stateOf(issuer).probing = false;
    },
    lastFailure: (issuer) => states.get(issuer)?.last,
    open: () => [...states].filter(([, state]) => state.failures >= FAILURES && now() < state.openUntil).map(([issuer]) => issuer),
  };
}
