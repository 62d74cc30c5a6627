import type { FeedPage } from "../../store/api.ts";
import type { Follower } from "./follower.ts";
import type { Group, Member } from "./group.ts";
import type { Position } from "./position.ts";

/**
 * Brings a member from where it is to where the follower is, a page at a time and no faster than it reads, then lets it go with the
 * others. What was forgotten meanwhile, or never was, becomes a reset. A store that cannot be read ends the stream: the verifier
 * comes back with the position it had.
 */
export async function catchUp(group: Group, member: Member, follower: Follower, now: () => number): Promise<void> {
  const ahead = new Set<number>();
  for (;;) {
    await member.reader.drained();
    const from = member.behind;
    if (from === undefined || member.reader.gone) return;
    const here = follower.position;
    const bucket = here.vector.findIndex((number, index) => differs(from.vector[index] ?? 0, number, ahead.has(index)));
    if (bucket < 0) {
      member.behind = undefined;
      return group.greet(member, here, now());
    }
    // Another broker may have told it more than this one has heard. It is asked about once: more than the store has is a gap.
    if ((from.vector[bucket] ?? 0) > (here.vector[bucket] ?? 0)) ahead.add(bucket);
    let page: FeedPage;
    try {
      page = await follower.after(bucket, from.vector[bucket] ?? 0);
    } catch {
      return member.reader.cut();
    }
    if (page.gap) return group.reset(member, follower.position);
    // `asOf` stays what it was: it speaks of all buckets, and this is one.
    const to: Position = { vector: from.vector.with(bucket, page.position), asOf: from.asOf };
    member.behind = to;
    const text = group.words(page.entries, from, to);
    if (text !== "") member.reader.write(text);
  }
}

const differs = (theirs: number, ours: number, known: boolean): boolean => (theirs > ours ? !known : theirs < ours);
