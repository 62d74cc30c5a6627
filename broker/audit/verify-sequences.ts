import { lineHash, canonical } from "./canonical.ts";
import { isRecord, readLine } from "./chain.ts";
import { readLines } from "./segments.ts";
import type { Findings } from "./verify-report.ts";
import type { Run, Walked } from "./walk.ts";

interface Placed {
  readonly run: Run;
  readonly walked: Walked;
}

interface Overlap {
  readonly era: number;
  readonly bucket: number;
  readonly from: number;
  readonly to: number;
}

/**
 * Holds the sequences of every bucket together over all directories: each number once, none missing. What two directories both
 * hold was exported again when one broker took over from another; then both must say the same.
 */
export async function checkSequences(walks: readonly Walked[], findings: Findings): Promise<void> {
  const byBucket = new Map<string, Placed[]>();
  for (const walked of walks) {
    for (const run of walked.runs) {
      const name = `${run.era}.${run.bucket}`;
      const placed = byBucket.get(name);
      if (placed === undefined) byBucket.set(name, [{ run, walked }]);
      else placed.push({ run, walked });
    }
  }
  const overlaps: Overlap[] = [];
  for (const placed of byBucket.values()) follow(placed, overlaps, walks, findings);
  if (overlaps.length > 0) await compare(walks, overlaps, findings);
}

/** The runs of one bucket, by their numbers: the next begins where the last ended. */
function follow(placed: Placed[], overlaps: Overlap[], walks: readonly Walked[], findings: Findings): void {
  placed.sort((a, b) => a.run.from - b.run.from || a.run.to - b.run.to);
  let reach = beginning(placed);
  let holder: Placed | undefined;
  for (const next of placed) {
    const { era, bucket, from, to } = next.run;
    if (from > reach + 1) gap(bucket, reach + 1, from - 1, next, findings);
    else if (from <= reach && holder !== undefined) {
      if (holder.walked === next.walked) backwards(next.run, walks, findings);
      else overlaps.push({ era, bucket, from, to: Math.min(reach, to) });
    }
    if (to > reach) {
      reach = to;
      holder = next;
    }
  }
}

/** What the first run must follow. Where older files were moved away, the numbers before the first are theirs. */
function beginning(placed: readonly Placed[]): number {
  const [first] = placed;
  if (first === undefined) return 0;
  const { era, bucket, from } = first.run;
  if (era === 0 && placed.some(({ walked }) => walked.first > 0)) return from - 1;
  return first.walked.eras[era]?.[bucket] ?? 0;
}

function gap(bucket: number, from: number, to: number, next: { readonly run: Run; readonly walked: Walked }, findings: Findings): void {
  const { segment, line, index } = next.run.start;
  // A link broken between the two runs has told of these records already.
  const before = next.walked.runs.findLast((run) => run.bucket === bucket && run.era === next.run.era && run.end.index < index);
  if (next.walked.breaks.some((broken) => broken.index <= index && broken.index > (before?.end.index ?? -1))) return;
  const seqs = from === to ? `Record ${from}` : `Records ${from} to ${to}`;
  findings.add({
    kind: "gap",
    file: segment.path,
    line,
    bucket,
    seq: from,
    message: `${seqs} of bucket ${bucket} are in no file before this line. If another broker exported them, give its directory too`,
  });
}

/** Within one directory a sequence never comes again; where a broken link is near, that has told of it. */
function backwards(run: Run, walks: readonly Walked[], findings: Findings): void {
  const { segment, line, index } = run.start;
  if (walks.some((walked) => walked.breaks.some((broken) => broken.segment === segment && Math.abs(broken.index - index) <= 1))) return;
  findings.add({
    kind: "duplicated",
    file: segment.path,
    line,
    bucket: run.bucket,
    seq: run.from,
    message: `record ${run.from} of bucket ${run.bucket} was written before`,
  });
}

/** Overlaps are short: what one broker had written and not yet trimmed when another took over. */
const COMPARED = 100_000;

async function compare(walks: readonly Walked[], overlaps: readonly Overlap[], findings: Findings): Promise<void> {
  const wanted = (era: number, bucket: number, seq: number): boolean =>
    overlaps.some((overlap) => overlap.era === era && overlap.bucket === bucket && seq >= overlap.from && seq <= overlap.to);
  const said = new Map<string, { readonly hash: string; readonly where: string }>();
  let same = 0;
  for (const { segments } of walks) {
    let era = 0;
    for (const segment of segments) {
      let line = 0;
      for await (const { text, torn } of readLines(segment.path)) {
        line += 1;
        const record = torn ? undefined : readLine(text);
        if (record !== undefined && !isRecord(record)) era += 1;
        if (!isRecord(record) || !wanted(era, record.bucket, record.seq)) continue;
        const { prev: _prev, ...facts } = record;
        const hash = lineHash(canonical(facts));
        const name = `${era}.${record.bucket}.${record.seq}`;
        const other = said.get(name);
        if (other === undefined) {
          if (said.size < COMPARED) said.set(name, { hash, where: `${segment.path} line ${line}` });
        } else if (other.hash === hash) same += 1;
        else
          findings.add({
            kind: "changed",
            file: segment.path,
            line,
            bucket: record.bucket,
            seq: record.seq,
            message: `says something else of the same record than ${other.where}`,
          });
      }
    }
  }
  if (same > 0) findings.notes.push(`${same} records lie in more than one directory and say the same: one broker took over from another.`);
}
