import { BUCKETS } from "../../domain/ids.ts";
import { canonical, lineHash } from "./canonical.ts";
import { isRecord, readLine, type AcceptedStore, type ChainedRecord } from "./chain.ts";
import { listSegments, readLines, type Segment } from "./segments.ts";
import type { Findings, Place } from "./verify-report.ts";

/** What a line of the chain is about: its bucket and sequence, where it has them. */
export interface Named {
  readonly bucket: number | undefined;
  readonly seq: number | undefined;
}

/** A line that does not name the line before it. */
export interface Break extends Place {
  /** Chain index of the line. */
  readonly index: number;
  readonly prev: string;
  readonly hash: string;
  readonly named: Named;
  readonly before: (Place & { readonly named: Named }) | undefined;
}

/** A run of sequences of one bucket, in the order of the file. */
export interface Run {
  /** How often an operator had accepted another state of the store before: sequences compare within one era only. */
  readonly era: number;
  readonly bucket: number;
  readonly from: number;
  to: number;
  readonly start: Place & { readonly index: number };
  end: Place & { readonly index: number };
}

export interface Walked {
  readonly segments: readonly Segment[];
  readonly first: number;
  readonly records: number;
  readonly head: string;
  readonly prevOfFirst: string;
  readonly breaks: readonly Break[];
  readonly runs: readonly Run[];
  readonly last: (Place & { readonly named: Named }) | undefined;
  /** Sequences that each era began behind; the first began at nothing. */
  readonly eras: readonly (readonly number[])[];
}

/** Told of the hash after every record, for checkpoints to be held against. */
export type OnHash = (size: number, hash: string, place: Place) => void;

/** More runs than this tell nothing new. */
const KEPT = 10_000;
/** Nor do more broken links. */
const BREAKS = 1_000;

/** Reads a directory's chain once from end to end, one line in memory at a time. */
export async function walk(dir: string, findings: Findings, onHash: OnHash): Promise<Walked> {
  const segments = await listSegments(dir);
  const first = segments[0]?.first ?? 0;
  const breaks: Break[] = [];
  const runs: Run[] = [];
  const eras: (readonly number[])[] = [Array.from({ length: BUCKETS }, () => 0)];
  let current: (Run | undefined)[] = [];
  let index = first;
  let head = "";
  let prevOfFirst = "";
  let before: Walked["last"];
  for (const [number, segment] of segments.entries()) {
    if (segment.first !== index) {
      const message =
        segment.first > index
          ? `begins at record ${segment.first}, but the files before it end after ${index}: records were taken out`
          : `begins at record ${segment.first}, although there are ${index} before it`;
      findings.add({ kind: segment.first > index ? "missing" : "duplicated", file: segment.path, line: 1, message });
      if (segment.first > index) index = segment.first;
    }
    let line = 0;
    for await (const read of readLines(segment.path)) {
      line += 1;
      const place = { segment, line };
      if (read.torn) {
        tornLine(findings, place, number === segments.length - 1);
        continue;
      }
      const record = readLine(read.text);
      const hash = lineHash(read.bytes);
      if (record === undefined) findings.add({ kind: "unreadable", file: segment.path, line, message: "is not a record" });
      else {
        const named = nameOf(record);
        if (canonical(record) !== read.text)
          findings.add({
            kind: "changed",
            file: segment.path,
            line,
            ...named,
            message: "is not spelled as records are: it was changed by hand",
          });
        if (index === first) prevOfFirst = record.prev;
        else if (record.prev !== head && breaks.length < BREAKS) breaks.push({ ...place, index, prev: record.prev, hash, named, before });
        if (isRecord(record)) note(runs, current, eras.length - 1, record, { ...place, index });
        else {
          findings.notes.push(
            `${segment.path} line ${line}: ${record.principal} let the files go on from store ${record.accepted_store} as it was then (${record.reason}).`,
          );
          eras.push(record.sequences);
          current = [];
        }
        before = { ...place, named };
      }
      onHash(index + 1, hash, place);
      head = hash;
      index += 1;
    }
  }
  return { segments, first, records: index - first, head, prevOfFirst, breaks, runs, last: before, eras };
}

function tornLine(findings: Findings, { segment, line }: Place, last: boolean): void {
  if (last)
    findings.notes.push(
      `${segment.path} line ${line} is half a record: a broker died while it wrote, and will write it again from the store.`,
    );
  else findings.add({ kind: "torn", file: segment.path, line, message: "ends in the middle of a record, yet other files follow" });
}

const nameOf = (record: ChainedRecord | AcceptedStore): Named =>
  isRecord(record) ? { bucket: record.bucket, seq: record.seq } : { bucket: undefined, seq: undefined };

function note(runs: Run[], current: (Run | undefined)[], era: number, { bucket, seq }: ChainedRecord, place: Run["start"]): void {
  const run = current[bucket];
  if (run !== undefined && seq === run.to + 1) {
    run.to = seq;
    run.end = place;
    return;
  }
  if (runs.length >= KEPT) return;
  const begun: Run = { era, bucket, from: seq, to: seq, start: place, end: place };
  runs.push(begun);
  current[bucket] = begun;
}
