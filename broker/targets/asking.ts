import type { Issuer, TargetFacts } from "../../domain/credential.ts";
import { pause } from "../sweeper/schedule.ts";

/** Asks how it is; where it cannot say, whether it lists anything at all. */
export async function asked(issuer: Issuer, signal: AbortSignal): Promise<TargetFacts | undefined> {
  if (issuer.examine !== undefined) return issuer.examine(signal);
  for await (const _one of issuer.list?.(signal) ?? []) break;
  return undefined;
}

/** Waits for the work, but not longer; the work goes on. */
export async function patiently(work: Promise<unknown>, ms: number): Promise<void> {
  const over = new AbortController();
  try {
    await Promise.race([work, pause(ms, over.signal)]);
  } finally {
    over.abort();
  }
}
