import { readJson, readLeases, readMark, readPosition, readWhole, type FeedMark, type RevokedLease } from "./feed-events.ts";
import type { JsonObject } from "./json.ts";
import { FeedProtocolError, LineCutter } from "./lines.ts";

/** What a snapshot tells is merged as it comes: all of it was revoked, however the snapshot ends. */
export interface SnapshotSink {
  leases(leases: readonly RevokedLease[]): void;
  mark(mark: FeedMark): void;
}

export interface SnapshotExpected {
  readonly issuer: string;
  readonly audience: string;
  readonly now: number;
}

/** A hundred million leases would be nine of these; nobody's memory holds as many. */
const MAX_BYTES = 512 * 1024 * 1024;

/**
 * Reads a snapshot: a first line that says what it is, marks and leases, and a last line that counts them. Answers with the
 * position to go on from. Throws FeedProtocolError for a snapshot that is not ours, is malformed, or was cut short.
 */
export async function readSnapshot(chunks: AsyncIterable<Uint8Array>, expected: SnapshotExpected, sink: SnapshotSink): Promise<string> {
  const reading = new Reading(expected, sink);
  const cutter = new LineCutter();
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BYTES) throw new FeedProtocolError("the snapshot does not end");
    for (const line of cutter.push(chunk)) if (line !== "") reading.line(readJson(line));
  }
  return reading.finish();
}

class Reading {
  readonly #expected: SnapshotExpected;
  readonly #sink: SnapshotSink;
  #position: string | undefined;
  #now = 0;
  #leases = 0;
  #marks = 0;
  #ended = false;

  constructor(expected: SnapshotExpected, sink: SnapshotSink) {
    this.#expected = expected;
    this.#sink = sink;
  }

  line(data: JsonObject): void {
    if (this.#ended) throw new FeedProtocolError("the snapshot goes on after its end");
    if (this.#position === undefined) this.#begin(data);
    else if ("leases" in data && !("end" in data)) {
      const leases = readLeases(data["leases"]);
      this.#leases += leases.length;
      this.#sink.leases(leases);
    } else if ("mark" in data) {
      const mark = data["mark"];
      if (typeof mark !== "object" || mark === null) throw new FeedProtocolError("a mark is malformed");
      this.#sink.mark(readMark(mark as JsonObject, this.#now));
      this.#marks++;
    } else if (data["end"] === true) this.#end(data);
    // other lines are of a later version, which says in its first line if they must be understood
  }

  #begin(data: JsonObject): void {
    if (data["snapshot"] !== 1) throw new FeedProtocolError("the snapshot is of an unknown version");
    const { issuer, audience, now } = this.#expected;
    if (data["issuer"] !== undefined && data["issuer"] !== issuer) throw new FeedProtocolError("the snapshot is of another issuer");
    if (data["audience"] !== undefined && data["audience"] !== audience)
      throw new FeedProtocolError("the snapshot is for another audience");
    this.#now = Math.max(now, readWhole(data, "as_of"));
    this.#position = readPosition(data["position"]);
  }

  #end(data: JsonObject): void {
    if (data["leases"] !== this.#leases || data["marks"] !== this.#marks) throw new FeedProtocolError("the snapshot's counts are wrong");
    this.#ended = true;
  }

  finish(): string {
    if (this.#position === undefined || !this.#ended) throw new FeedProtocolError("the snapshot was cut short");
    return this.#position;
  }
}
