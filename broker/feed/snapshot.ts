import { BUCKETS } from "../../domain/ids.ts";
import type { Clock } from "../../domain/time.ts";
import type { FeedStore } from "../../store/api.ts";
import { tell, type Concern } from "./audience.ts";
import { leaseLines, markLine } from "./frames.ts";
import { encodePosition, type PositionOwner } from "./position.ts";

/** Entries of a bucket that are in memory at once. */
const PAGE = 1_000;

/**
 * Everything that is revoked and not over, line by line, a page of a bucket at a time. The position comes first and is older than all
 * that follows: whoever goes on from it misses nothing, and hears some of it twice. Only the last line makes it whole.
 */
export async function* snapshotLines(
  store: Pick<FeedStore, "positions" | "snapshot">,
  now: Clock,
  about: { readonly owner: PositionOwner; readonly issuer: string; readonly concern: Concern },
): AsyncGenerator<string> {
  const asOf = now();
  const position = encodePosition({ vector: await store.positions(), asOf }, about.owner);
  yield `${JSON.stringify({ snapshot: 1, position, as_of: asOf, issuer: about.issuer, audience: about.owner.audience })}\n`;
  let leases = 0;
  let marks = 0;
  for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
    let cursor: string | undefined;
    do {
      const page = await store.snapshot(bucket, cursor, PAGE);
      const told = tell(page.entries, about.concern);
      leases += told.leases.length;
      marks += told.marks.length;
      const text = told.marks.map(markLine).join("") + leaseLines(told.leases);
      if (text !== "") yield text;
      cursor = page.nextCursor;
    } while (cursor !== undefined);
  }
  yield `${JSON.stringify({ end: true, leases, marks })}\n`;
}
