import { reseal, type SealedRecords } from "../store/reseal.ts";
import type { Sealer } from "../store/sealing.ts";
import type { Log } from "./parts.ts";

/** Records may move while they are walked, so they are walked until nothing was left to do; this often at most. */
const PASSES = 3;

/** Seals all of these records anew under the first master key. How many were under another. */
export async function resealAll(records: SealedRecords, sealer: Sealer, log: Log): Promise<number> {
  let total = 0;
  for (let pass = 0; pass < PASSES; pass += 1) {
    const { resealed, failed } = await reseal(records, sealer);
    total += resealed;
    if (failed.length > 0)
      log.warn(
        { purpose: records.purpose, records: failed },
        "sealed values that no master key opens: keep the old key until these records are gone",
      );
    if (resealed === 0) break;
  }
  return total;
}
