import assert from "node:assert/strict";
import type { OpenedStore } from "../../store/open.ts";

const BATCH = 100;
const BUCKETS_AT_ONCE = 4;

/** As the sweeper does it: which buckets have something due, then pages of a hundred, four buckets at a time. All that is due, and no more, must end. */
export async function sweepAll(store: OpenedStore, due: number): Promise<void> {
  let expired = 0;
  const buckets = [...(await store.leases.dueBuckets()).leases];
  const lane = async (): Promise<void> => {
    for (let bucket = buckets.pop(); bucket !== undefined; bucket = buckets.pop()) {
      for (let more = true; more;) {
        const page = await store.leases.claimDue(bucket, BATCH, "allowed");
        expired += page.expired;
        more = page.more;
      }
    }
  };
  await Promise.all(Array.from({ length: BUCKETS_AT_ONCE }, lane));
  assert.equal(expired, due, "every due lease ended, and no other");
}
