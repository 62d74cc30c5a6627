import { setTimeout as sleep } from "node:timers/promises";
import { formatDuration, type Clock } from "../../domain/time.ts";
import { bad, ok, warn, type Finding } from "./finding.ts";
import type { Ask } from "./resource.ts";

/** A live credential of ours, for one look. */
export interface Lent {
  readonly token: string;
  /** As the broker calls it: `immediate`, `verifier_checked` or `expiry_only`. */
  readonly revocation: string;
  /** Until when it may be honoured after its end, at most. */
  readonly deadBy: () => string | null;
  giveBack(): Promise<void>;
}

const PAUSE_MS = 250;

/** Whether a real token is honoured while it lives and refused soon after it was given back. Always gives it back. */
export async function livesAndDies(ask: Ask, lent: Lent, clock: Clock, withinMs: number): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  try {
    const { status, challenge } = await ask(lent.token);
    found.push(alive(status, challenge));
  } finally {
    await lent.giveBack();
  }
  if (found[0]?.status === "fail") return found;
  const from = clock();
  for (;;) {
    const { status } = await ask(lent.token);
    const took = clock() - from;
    if (status === 401)
      return [...found, ok("revoked", `refused ${formatDuration(Math.max(1, Math.round(took)))} after it was given back`)];
    if (took >= withinMs) return [...found, undead(lent, withinMs)];
    await sleep(PAUSE_MS);
  }
}

function alive(status: number, challenge: string): Finding {
  if (status === 401)
    return bad("honoured", "it refuses a token that is good", {
      why: challenge === "" ? "It does not say why." : challenge,
      next: "Compare its issuer and audience with the broker's URL and the grant's audience; then its clock.",
    });
  if (status >= 500)
    return bad("honoured", `it answers ${status} to a token that is good`, {
      next: status === 503 ? "It may have no news of revocations: can it reach the broker's feed?" : "Its log says what broke.",
    });
  if (status === 403)
    return warn("honoured", "it believes the token and wants more of it (403)", {
      why: challenge,
      next: "Ask by a grant that has the scope, or for another address.",
    });
  return ok("honoured", `it believes a token that is good (${status})`);
}

function undead({ revocation, deadBy }: Lent, withinMs: number): Finding {
  const what = `still honoured ${formatDuration(withinMs)} after it was given back`;
  if (revocation === "expiry_only")
    return warn("revoked", what, {
      why: `The broker promises no more for this audience: dead by ${deadBy() ?? "its end"}.`,
      next: "Have the API read the feed and register it: stint verifier add NAME --audience A --checks feed",
    });
  return bad("revoked", what, {
    why: `The broker counts on this API to check (${revocation}).`,
    next: "Does it verify by stint/verify with revocation on, and can it reach the broker? Its maxStaleness may be longer than --within.",
  });
}

/** Whether a token for somebody else is refused. Always gives it back. */
export async function foreign(ask: Ask, lent: Lent, grant: string): Promise<Finding> {
  try {
    const { status } = await ask(lent.token);
    if (status === 401) return ok("audience", `it refuses a token of ${grant}, which is for another audience`);
    return bad("audience", `it answers ${status} to a token of ${grant}, which is for another audience`, {
      why: "Whoever is given a token for that audience can use it here.",
      next: "Tell the verifier its own audience: aud must hold it, whole.",
    });
  } finally {
    await lent.giveBack();
  }
}
