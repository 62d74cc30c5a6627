import type { LeaseId } from "../../domain/ids.ts";
import type { Told, ToldMark } from "./audience.ts";

/** An event names at most this many leases, a line of a snapshot too. */
export const LEASES_AT_ONCE = 1_000;

/** What a stream begins with: how long a client waits before it comes again. */
export const OPENING = "retry: 1000\n\n";

/** One end of a step: the position in words, and the instant up to which everything is known there. */
export interface StepEnd {
  readonly id: string;
  readonly asOf: number;
}

/**
 * Events that lead from one position to another. Only the last one bears the new position and instant: whoever loses the connection
 * half-way goes on from before, and never takes half of a step for the whole.
 */
export function revokedFrames(told: Told, before: StepEnd, after: StepEnd): string {
  const events: (readonly [string, object])[] = [];
  for (const leases of inPieces(told.leases)) events.push(["revoked", { leases }]);
  for (const mark of told.marks) events.push(["mark", mark]);
  return events
    .map(([type, data], index) => {
      const { id, asOf } = index === events.length - 1 ? after : before;
      return frame(type, id, { as_of: asOf, ...data });
    })
    .join("");
}

/** The heartbeat: nothing more ended up to `asOf`. `now` is the broker's time of writing, so that both can be compared. */
export const syncFrame = (id: string, asOf: number, now: number): string => frame("sync", id, { as_of: asOf, now });

/** The reader's position says nothing here: a snapshot comes first, then the stream goes on. */
export const resetFrame = (asOf: number): string => frame("reset", undefined, { as_of: asOf });

/** JSON has no raw line ends, so one data line holds it whole. */
const frame = (type: string, id: string | undefined, data: object): string =>
  `event: ${type}\n${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`;

/** Lines of a snapshot, each an object of its own. */
export const markLine = (mark: ToldMark): string => `${JSON.stringify({ mark })}\n`;
export function leaseLines(leases: Told["leases"]): string {
  let text = "";
  for (const piece of inPieces(leases)) text += `${JSON.stringify({ leases: piece })}\n`;
  return text;
}

/** Ends in seconds, rounded up: nobody may forget a lease before its token is over. */
function* inPieces(leases: Told["leases"]): Generator<(readonly [LeaseId, number])[]> {
  for (let at = 0; at < leases.length; at += LEASES_AT_ONCE)
    yield leases.slice(at, at + LEASES_AT_ONCE).map(([id, endsAt]) => [id, Math.ceil(endsAt / 1000)] as const);
}
