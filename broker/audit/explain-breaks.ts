import { lineHash } from "./canonical.ts";
import { readLine } from "./chain.ts";
import { readLines } from "./segments.ts";
import type { AuditProblem, AuditProblemKind, Findings, Place } from "./verify-report.ts";
import type { Break, Run, Walked } from "./walk.ts";

/** Where the line lies that a broken link names, and what follows it there. */
interface Found extends Place {
  readonly nextHash: string | undefined;
  readonly nextLinks: boolean;
}

/** Says of every broken link what was done there. A second reading finds the lines that the links name, if they are still there. */
export async function explainBreaks(walked: Walked, findings: Findings): Promise<void> {
  if (walked.breaks.length === 0) return;
  const found = await findLines(walked, new Set(walked.breaks.map(({ prev }) => prev)));
  const gaps = gapsOf(walked);
  for (const broken of walked.breaks) findings.add(explain(broken, found.get(broken.prev), gaps));
}

function explain(broken: Break, found: Found | undefined, gaps: readonly Gap[]): AuditProblem {
  const at = { file: broken.segment.path, line: broken.line, ...broken.named };
  const problem = (kind: AuditProblemKind, message: string): AuditProblem => ({ kind, ...at, message });
  if (found !== undefined) {
    const there = `line ${found.line} of ${found.segment.name}`;
    if (found.nextHash === broken.hash) return problem("duplicated", `is a copy of the record after ${there}`);
    if (found.nextLinks)
      return problem("two_writers", `follows ${there}, which another record follows already: two writers, or a record put in`);
    return problem("reordered", `belongs behind ${there}`);
  }
  const lost = gaps.find((gap) => gap.after < broken.index && gap.before >= broken.index);
  if (lost !== undefined) {
    const seqs =
      lost.from === lost.to
        ? `record ${lost.from} of bucket ${lost.bucket} was`
        : `records ${lost.from} to ${lost.to} of bucket ${lost.bucket} were`;
    return { ...problem("missing", `${seqs} taken out before this line`), bucket: lost.bucket, seq: lost.from };
  }
  const { before } = broken;
  if (before === undefined) return problem("missing", "does not follow the line before it");
  return {
    kind: "changed",
    file: before.segment.path,
    line: before.line,
    ...before.named,
    message: "is not the record that was written here: the next line names another hash",
  };
}

/** Sequences of a bucket that are missing between two places of the chain. */
interface Gap {
  readonly bucket: number;
  readonly from: number;
  readonly to: number;
  readonly after: number;
  readonly before: number;
}

function gapsOf({ runs, eras, first }: Walked): readonly Gap[] {
  const gaps: Gap[] = [];
  const last = new Map<string, Run>();
  for (const run of runs) {
    const name = `${run.era}.${run.bucket}`;
    const before = last.get(name);
    // What older files hold, moved away, is not missing here.
    const reached = before?.to ?? (run.era === 0 && first > 0 ? run.from - 1 : (eras[run.era]?.[run.bucket] ?? 0));
    if (run.from > reached + 1)
      gaps.push({ bucket: run.bucket, from: reached + 1, to: run.from - 1, after: before?.end.index ?? -1, before: run.start.index });
    last.set(name, run);
  }
  return gaps;
}

async function findLines(walked: Walked, wanted: ReadonlySet<string>): Promise<ReadonlyMap<string, Found>> {
  const found = new Map<string, Found>();
  let last: (Place & { readonly hash: string }) | undefined;
  for (const segment of walked.segments) {
    let line = 0;
    for await (const { text, bytes, torn } of readLines(segment.path)) {
      line += 1;
      if (torn) continue;
      const hash = lineHash(bytes);
      if (last !== undefined && wanted.has(last.hash) && !found.has(last.hash)) {
        found.set(last.hash, { segment: last.segment, line: last.line, nextHash: hash, nextLinks: readLine(text)?.prev === last.hash });
      }
      last = { segment, line, hash };
    }
  }
  if (last !== undefined && wanted.has(last.hash) && !found.has(last.hash))
    found.set(last.hash, { ...last, nextHash: undefined, nextLinks: false });
  return found;
}
