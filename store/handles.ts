import { bucketOfId, isId } from "../domain/ids.ts";
import { ALL_BUCKETS, bare, placeKey } from "./keyspace.ts";
import { readLease } from "./records.ts";
import type { SealedItem, SealedRecords } from "./reseal.ts";
import type { Runner } from "./run.ts";
import { cursorOf, readCursor, recordsOf, walkByScore } from "./walk.ts";

const PAGE = 200;

/** The sealed revocation handles of all leases that are not over, along the due indexes. */
export function leaseHandles(runner: Runner): SealedRecords {
  return {
    purpose: "revocation-handle",
    async page(cursor) {
      const { bucket, at } = readCursor(cursor) ?? { bucket: 0, at: "" };
      const { members, next } = await walkByScore(runner, `${placeKey(bucket)}:due`, at, PAGE);
      const rows = await recordsOf(runner, bucket, "l", members);
      const items = rows.flatMap((text, index): SealedItem[] => {
        if (text === null) return [];
        const { lease, handle } = readLease(members[index] ?? "", text, false);
        return handle === undefined ? [] : [{ recordId: lease.id, sealed: handle }];
      });
      if (next !== undefined) return { items, nextCursor: cursorOf({ bucket, at: next }) };
      return { items, nextCursor: bucket + 1 < ALL_BUCKETS.length ? cursorOf({ bucket: bucket + 1, at: "" }) : undefined };
    },
    async replace(recordId, from, to) {
      if (!isId("lease", recordId)) return "changed";
      return (await runner.run("replace-handle", bucketOfId(recordId), { id: bare(recordId), from, to })) === "replaced"
        ? "replaced"
        : "changed";
    },
  };
}
