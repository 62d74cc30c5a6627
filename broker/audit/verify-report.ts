import type { Segment } from "./segments.ts";

export const AUDIT_PROBLEMS = [
  "changed",
  "missing",
  "reordered",
  "duplicated",
  "two_writers",
  "cut",
  "gap",
  "torn",
  "unreadable",
  "signature",
  "unsigned",
] as const;
/**
 * What may be wrong: a record that is not what was written; records taken out; put elsewhere; written twice; two chains in one
 * file; an end that a checkpoint shows to be missing; sequences in no file; a half record; no record at all; a checkpoint that no
 * known key signed, or that contradicts the files; records without any checkpoint.
 */
export type AuditProblemKind = (typeof AUDIT_PROBLEMS)[number];

export interface AuditProblem {
  readonly kind: AuditProblemKind;
  readonly file: string;
  /** From 1. */
  readonly line?: number | undefined;
  readonly bucket?: number | undefined;
  readonly seq?: number | undefined;
  readonly message: string;
}

export interface DirectoryReport {
  readonly dir: string;
  readonly records: number;
  /** Chain index of the first record: above 0 when older files were moved away under a signed checkpoint. */
  readonly first: number;
  readonly head: string;
  readonly checkpoints: number;
  /** Records behind the newest good checkpoint; the broker signs them within a second of writing. */
  readonly unsigned: number;
}

export interface AuditReport {
  readonly ok: boolean;
  readonly records: number;
  readonly directories: readonly DirectoryReport[];
  /** At most 100. */
  readonly problems: readonly AuditProblem[];
  /** Problems beyond those listed. */
  readonly more: number;
  /** Worth knowing, and no proof of anything wrong. */
  readonly notes: readonly string[];
}

const LISTED = 100;

/** Gathers what is found; bounded, however much is wrong. */
export class Findings {
  readonly problems: AuditProblem[] = [];
  readonly notes: string[] = [];
  more = 0;

  add(problem: AuditProblem): void {
    if (this.problems.length < LISTED) this.problems.push(problem);
    else this.more += 1;
  }
}

/** A place in the files, as people look it up. */
export interface Place {
  readonly segment: Segment;
  /** From 1. */
  readonly line: number;
}
