import { StintError } from "../domain/errors.ts";
import type { TaskId } from "../domain/ids.ts";
import type { Principal } from "../domain/principal.ts";
import type { Secret } from "../domain/secret.ts";
import type { Origin } from "./callers.ts";
import type { Unverified } from "./denials/unverified.ts";
import { provenHolder, provenKey, withKey } from "./dpop/possession.ts";
import type { Parts } from "./parts.ts";
import { looksLikeTaskToken } from "./tasks/signature.ts";
import { requireCarriable, type TaskTokens } from "./tasks/token.ts";

/** Who presents evidence, and until when a token of our own vouches for it. */
export interface Identified {
  readonly principal: Principal;
  /** Set when the evidence is a task token: its end bounds what comes of it. */
  readonly evidenceEndsAt: number | undefined;
  readonly parent: TaskId | undefined;
}

/** Tells who presents something, and which key they prove; a proof is spent by whoever acts on it. Every refusal has an id; none says more than the token's own problem. */
export interface Identify {
  /** Outside evidence, or a task token, which then stands for its task. */
  any(evidence: Secret, origin: Origin, bind?: "certificate"): Promise<Identified>;
  /** Outside evidence only: a task token opens no task of its own. */
  outside(evidence: Secret, origin: Origin, bind?: "certificate"): Promise<Principal>;
}

export function createIdentify(parts: Pick<Parts, "attest">, taskTokens: TaskTokens, unverified: Unverified): Identify {
  async function attested(evidence: Secret, origin: Origin, isTaskToken: boolean, bind: "certificate" | undefined): Promise<Identified> {
    try {
      if (isTaskToken)
        throw new StintError("invalid_identity", "a task token is no evidence here; present the identity token of the workload");
      const principal = await parts.attest(evidence);
      requireCarriable(principal.claims);
      if (origin.possession?.scheme === "DPoP")
        throw new StintError(
          "invalid_request",
          "evidence is not bound to a key of yours: present it as Bearer, and a DPoP proof beside it",
        );
      return { principal: withKey(principal, provenKey(origin.possession, bind)), evidenceEndsAt: undefined, parent: undefined };
    } catch (error) {
      throw error instanceof StintError ? unverified.refuse(error, origin) : error;
    }
  }

  async function held(evidence: Secret, origin: Origin, bind: "certificate" | undefined): Promise<Identified> {
    const holder = await taskTokens.verify(evidence);
    if (holder === undefined)
      throw unverified.refuse(new StintError("invalid_identity", "the task token is not valid, or its task is over"), origin);
    const { possession } = origin;
    const proven = holder.key === undefined && bind !== undefined ? provenKey(possession, bind) : provenHolder(holder.key, possession);
    return { principal: withKey(holder.principal, proven), evidenceEndsAt: holder.expiresAt, parent: holder.parent };
  }

  return {
    outside: async (evidence, origin, bind) => (await attested(evidence, origin, looksLikeTaskToken(evidence.reveal()), bind)).principal,
    any: (evidence, origin, bind) =>
      looksLikeTaskToken(evidence.reveal()) ? held(evidence, origin, bind) : attested(evidence, origin, false, bind),
  };
}
