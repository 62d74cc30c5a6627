import type { UseNote } from "../../store/api.ts";
import type { Origin } from "../callers.ts";
import type { Parts } from "../parts.ts";
import type { Verifier } from "../policy/policy.ts";
import type { Use } from "./api.ts";
import type { Concern } from "./audience.ts";

const MAX_TEXT = 256;
// What could forge a line of a log or drive a terminal: routes and sources are strangers' words.
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** Notes what an instance met: last uses, and uses after the end, which are recorded and published. */
export async function noteUses(
  parts: Pick<Parts, "store" | "events">,
  who: { readonly verifier: Verifier; readonly instance: string; readonly concern: Concern; readonly origin: Origin },
  uses: readonly Use[],
): Promise<void> {
  const { verifier, instance, concern, origin } = who;
  const audit = {
    action: "lease.used_after_end" as const,
    principal: `verifier:${verifier.name}`,
    instance,
    audience: verifier.audience,
    trace_id: origin.traceId,
  };
  const late = await parts.store.uses.note(uses.map(noteOf), (grant) => !concern.foreign.has(grant), audit);
  for (const { lease, uses: count } of late) parts.events.publish("lease.used_after_end", { lease, verifier: verifier.name, uses: count });
}

const noteOf = ({ lease, at, outcome, count, source, route }: Use): UseNote => ({
  lease,
  at,
  how: outcome,
  count,
  source: cleaned(source),
  route: cleaned(route),
});

const cleaned = (text: string | undefined): string | undefined => text?.replaceAll(UNPRINTABLE, " ").slice(0, MAX_TEXT);
