import type { Sealer, SealPurpose } from "./sealing.ts";

/** Sealed values that live in records of the store, walked in bounded pages. Revocation handles of leases are one such kind. */
export interface SealedRecords {
  readonly purpose: SealPurpose;
  /** Some sealed values, from a cursor on; the last page has no `nextCursor`. */
  page(cursor: string | undefined): Promise<{ readonly items: readonly SealedItem[]; readonly nextCursor: string | undefined }>;
  /** Swaps the value, unless the record holds another one by now or is gone (`changed`): one script. */
  replace(recordId: string, from: string, to: string): Promise<"replaced" | "changed">;
}

export interface SealedItem {
  readonly recordId: string;
  readonly sealed: string;
}

export interface ResealReport {
  readonly seen: number;
  readonly resealed: number;
  /** Records whose value could not be opened with any of the master keys: the old key must stay until they are gone. */
  readonly failed: readonly string[];
}

/** Failures are named up to this many. */
const NAMED = 100;

/** Seals every value again under the first master key. May be stopped and started again; a second run changes nothing. */
export async function reseal(records: SealedRecords, sealer: Sealer): Promise<ResealReport> {
  let seen = 0;
  let resealed = 0;
  const failed: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await records.page(cursor);
    for (const { recordId, sealed } of page.items) {
      seen += 1;
      if (!sealer.needsReseal(sealed)) continue;
      const again = sealedAgain(sealer, records.purpose, recordId, sealed);
      if (again === undefined) {
        if (failed.length < NAMED) failed.push(recordId);
      } else if ((await records.replace(recordId, sealed, again)) === "replaced") resealed += 1;
    }
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return { seen, resealed, failed };
}

function sealedAgain(sealer: Sealer, purpose: SealPurpose, recordId: string, sealed: string): string | undefined {
  try {
    return sealer.seal(purpose, recordId, sealer.open(purpose, recordId, sealed));
  } catch {
    return undefined; // one record that cannot be opened must not keep all others under the old key
  }
}
