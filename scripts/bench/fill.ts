import assert from "node:assert/strict";
import { hash } from "node:crypto";
import type { LeaseId } from "../../domain/ids.ts";
import { ALL_BUCKETS } from "../../store/keyspace.ts";
import type { OpenedStore } from "../../store/open.ts";
import type { FakeClock } from "../../test/support/clock.ts";
import { freshEvidence, openOrder, principalOf } from "../../test/support/orders.ts";

/** One workload that holds a tenth of all leases, for marks. */
export const LOUD = "github:1";
export const SHORT_MS = 60_000;
const HOUR_MS = 3_600_000;
/** Scripts under way at once. */
const LANES = 64;
const NOTES = 5_000;

/** How many of so many leases are due once `SHORT_MS` has passed. */
export const dueOf = (leases: number): number => Math.min(10_000, Math.floor(leases / 10));

/**
 * Opens leases as requests would, one script each: five to a task, a hundred to a workload, and one loud workload with a tenth of
 * them; `dueOf` of them live a minute, the rest an hour, unless all are to live as long. Evidence leaves no trace here, it is remembered for minutes only.
 */
export async function fill(store: OpenedStore, clock: FakeClock, leases: number, allLiveMs?: number): Promise<readonly LeaseId[]> {
  const opened: LeaseId[] = [];
  const every = leases / dueOf(leases);
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < leases; index = next++) {
      const loud = index % 10 === 0;
      const subject = loud ? LOUD : `github:${400_000 + Math.floor(index / 100)}`;
      const evidence = { ...freshEvidence(clock()), maxUses: undefined };
      const principal = { ...principalOf(subject, evidence), workload: `github/octo-org/repo-${loud ? 1 : Math.floor(index / 100)}` };
      const task = { kind: "implicit" as const, value: `${Math.floor(index / (loud ? 50 : 5))}.1.7654321` };
      const isDue = index % every === Math.floor(every / 2);
      const reply = await store.leases.open(
        openOrder(clock, subject, {
          principal,
          task,
          grant: "deploy-prod",
          keyId: KEY_ID,
          ttlMs: allLiveMs ?? (isDue ? SHORT_MS : HOUR_MS),
          maxTtlMs: HOUR_MS,
        }),
      );
      assert.equal(reply.outcome, "opened");
      if (reply.outcome === "opened") opened.push(reply.lease.id);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return opened;
}

/** Notes the credentials of these leases, as every issue does right behind the lease. */
export async function noteAll(store: OpenedStore, clock: FakeClock, leases: readonly LeaseId[]): Promise<void> {
  for (let from = 0; from < leases.length; from += NOTES) {
    const notes = leases.slice(from, from + NOTES);
    await Promise.all(notes.map((id) => store.leases.noteCredential(id, hash("sha256", id, "hex"), clock() + HOUR_MS)));
  }
}

/** As long as the thumbprints that name our keys. */
const KEY_ID = hash("sha256", "a signing key", "base64url");

/** Drops audit records as the exporter does once they are in the files. */
export async function trimAudit(store: OpenedStore): Promise<void> {
  for (const bucket of ALL_BUCKETS) await store.audit.trim(bucket, (await store.audit.state(bucket)).lastSeq);
}
