import { stat } from "node:fs/promises";
import { StintError } from "../../domain/errors.ts";
import { explainBreaks } from "./explain-breaks.ts";
import type { NoteVerifier } from "./signed-note.ts";
import { AnchorCheck, CheckpointCheck } from "./verify-checkpoints.ts";
import { Findings, type AuditReport, type DirectoryReport } from "./verify-report.ts";
import { checkSequences } from "./verify-sequences.ts";
import { walk, type Walked } from "./walk.ts";

export interface VerifyOptions {
  /** The keys that may sign checkpoints. Kept apart from the files, or whoever changes the files changes the keys too. */
  readonly verifiers: readonly NoteVerifier[];
  /** Checkpoints kept elsewhere (text of the file `checkpoint` at some time): they show an end that was cut off together with its checkpoints. */
  readonly anchors?: readonly string[];
}

/**
 * Checks the audit trail from end to end and says what is wrong with it and where. One directory, or all of them where several
 * brokers exported. Reads and never writes; memory does not grow with the trail. Throws `invalid_request` for a directory that is none.
 */
export async function verifyAudit(dirs: readonly string[], options: VerifyOptions): Promise<AuditReport> {
  const findings = new Findings();
  const anchors = new AnchorCheck(options.anchors ?? [], options.verifiers, findings);
  const walks: Walked[] = [];
  const directories: DirectoryReport[] = [];
  for (const dir of dirs) {
    const { walked, report } = await verifyDirectory(dir, options.verifiers, anchors, findings);
    walks.push(walked);
    directories.push(report);
  }
  await checkSequences(walks, findings);
  anchors.finish(findings);
  const records = directories.reduce((sum, directory) => sum + directory.records, 0);
  return {
    ok: findings.problems.length === 0,
    records,
    directories,
    problems: findings.problems,
    more: findings.more,
    notes: findings.notes,
  };
}

async function verifyDirectory(
  dir: string,
  verifiers: readonly NoteVerifier[],
  anchors: AnchorCheck,
  findings: Findings,
): Promise<{ readonly walked: Walked; readonly report: DirectoryReport }> {
  const found = await stat(dir).catch(() => undefined);
  if (found?.isDirectory() !== true)
    throw new StintError("invalid_request", `There is no directory ${dir}. Give the directory of the audit files (STINT_AUDIT_DIR).`);
  const checkpoints = await CheckpointCheck.read(dir, verifiers, findings);
  const walked = await walk(dir, findings, (size, hash, place) => {
    checkpoints.reached(size, hash, `line ${place.line} of ${place.segment.name}`);
    anchors.reached(size, hash);
  });
  await explainBreaks(walked, findings);
  const { checkpoints: count, unsigned } = checkpoints.finish(walked);
  return { walked, report: { dir, records: walked.records, first: walked.first, head: walked.head, checkpoints: count, unsigned } };
}

/** A report in words, a line each; the last one is the verdict. */
export function reportLines(report: AuditReport): readonly string[] {
  const lines = report.problems.map(
    ({ kind, file, line, message }) => `${kind.replace("_", " ")}: ${file}${line === undefined ? "" : ` line ${line}`}: ${message}`,
  );
  if (report.more > 0) lines.push(`and ${report.more} more`);
  lines.push(...report.notes.map((note) => `note: ${note}`));
  const checkpoints = report.directories.reduce((sum, { checkpoints: count }) => sum + count, 0);
  lines.push(
    report.ok
      ? `${report.records} records, ${checkpoints} checkpoints: nothing was changed, taken out or moved`
      : `${report.records} records, ${report.problems.length + report.more} problem${report.problems.length + report.more === 1 ? "" : "s"}`,
  );
  return lines;
}
