import { performance } from "node:perf_hooks";
import { StintError } from "../../domain/errors.ts";
import type { Log, Parts } from "../parts.ts";
import type { Policy } from "../policy/policy.ts";
import type { Meter } from "./meter.ts";

type Attest = Parts["attest"];

/** Attestation that tells how long it took and what came of it. */
export function meteredAttest(attest: Attest, trusts: () => Policy["trusts"], meter: Meter): Attest {
  return async (evidence) => {
    const started = performance.now();
    const since = (): number => (performance.now() - started) / 1000;
    try {
      const principal = await attest(evidence);
      meter.attestation(trusts().get(principal.trust)?.preset ?? "none", "accepted", since());
      return principal;
    } catch (error) {
      const away = error instanceof StintError && error.code === "identity_keys_unavailable";
      meter.attestation("none", away ? "unavailable" : "rejected", since());
      throw error;
    }
  };
}

/** Runs work at a target and tells how long it took. */
export async function atTarget<T>(meter: Meter, target: string, work: "make" | "end", call: () => Promise<T>): Promise<T> {
  const started = performance.now();
  const tell = (outcome: "done" | "failed"): void => meter.targetCall(target, work, outcome, (performance.now() - started) / 1000);
  try {
    const result = await call();
    tell("done");
    return result;
  } catch (error) {
    tell("failed");
    throw error;
  }
}

/** What attestation logs to: a provider whose keys cannot be had is told of where people look, and counted. */
export const keysLog = (log: Log, meter: Meter): { readonly warn: (facts: { readonly trust: string }, message: string) => void } => ({
  warn: (facts, message) => {
    meter.keysFetchFailed(facts.trust);
    log.warn({ ...facts }, message);
  },
});
