import { systemClock } from "../../../domain/time.ts";
import { openStore } from "../../../store/open.ts";
import { ALL_BUCKETS } from "../../../store/keyspace.ts";
import { freshEvidence, openOrder, principalOf } from "../orders.ts";

/** Scripts under way at once. */
const LANES = 64;

export interface CrowdOptions {
  readonly url: string;
  readonly leases: number;
  readonly subject: (index: number) => string;
  /** When each of them ends; an hour from now unless told otherwise. */
  readonly endAt?: number;
}

/** Fills a store with live leases, by the scripts that requests use; what is waiting for export is dropped, as if it were in the files. */
export async function fillWithLeases({ url, leases, subject, endAt }: CrowdOptions): Promise<void> {
  const store = await openStore({ url });
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < leases; index = next++) {
      const now = systemClock();
      const name = subject(index);
      const ttlMs = (endAt ?? now + 3_600_000) - now;
      const principal = principalOf(name, { ...freshEvidence(now), maxUses: undefined });
      const task = { kind: "implicit" as const, value: `${Math.floor(index / 5)}` };
      const reply = await store.leases.open(openOrder(systemClock, name, { principal, task, ttlMs, maxTtlMs: ttlMs }));
      if (reply.outcome !== "opened") throw new Error(`lease ${index}: ${JSON.stringify(reply)}`);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  for (const bucket of ALL_BUCKETS) await store.audit.trim(bucket, (await store.audit.state(bucket)).lastSeq);
  await store.close();
}
