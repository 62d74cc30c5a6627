import type { z } from "zod";
import { PermanentFailure, RetryableFailure } from "../../domain/credential.ts";
import { isId, type LeaseId } from "../../domain/ids.ts";
import { callMaker, type MakerParts, readAnswer, refusalOf } from "./call.ts";
import { Listing, MAX_PAGE } from "./wire.ts";

/** Pages of 1,000; a list that is longer is no list. */
const MOST_PAGES = 1_000;

/** Leases of which the maker holds something that this broker asked for. What it made for others is passed over. */
export async function* listMade(parts: MakerParts, signal: AbortSignal): AsyncIterable<LeaseId> {
  const seen = new Set<string>();
  for (let cursor: string | undefined; ;) {
    const page = await pageOf(parts, cursor, signal);
    for (const item of page.items) {
      if (item.broker !== parts.ports.broker) continue;
      if (!isId("lease", item.lease_id)) throw new PermanentFailure("the maker lists something of ours that is no lease");
      yield item.lease_id;
    }
    const next = page.next_cursor ?? undefined;
    if (next === undefined) return;
    if (seen.has(next) || seen.size >= MOST_PAGES) throw new RetryableFailure("the maker's list does not end");
    seen.add(next);
    cursor = next;
  }
}

/** Whether the maker answers, knows our key and can list. */
export const firstPage = (parts: MakerParts, signal: AbortSignal): Promise<z.output<typeof Listing>> => pageOf(parts, undefined, signal);

async function pageOf(parts: MakerParts, cursor: string | undefined, signal: AbortSignal): Promise<z.output<typeof Listing>> {
  const query = new URLSearchParams({ broker: parts.ports.broker, ...(cursor !== undefined && { cursor }) });
  const answer = await callMaker(parts, { method: "GET", path: `/credentials?${query.toString()}`, maxBytes: MAX_PAGE, signal });
  if (answer.status !== 200) throw refusalOf(answer, "list what it made");
  return readAnswer(Listing, answer);
}
