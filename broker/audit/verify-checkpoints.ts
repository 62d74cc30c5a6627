import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { GENESIS } from "./chain.ts";
import { parseCheckpoint, type Checkpoint } from "./checkpoint.ts";
import { HISTORY, LATEST } from "./checkpoint-files.ts";
import { readLines } from "./segments.ts";
import { openNote, type NoteVerifier } from "./signed-note.ts";
import type { Findings } from "./verify-report.ts";
import type { Walked } from "./walk.ts";

/** What is kept of a checkpoint while a chain is read. */
interface Kept {
  readonly head: string;
  readonly file: string;
  readonly line: number | undefined;
}

/** Holds the signed checkpoints of a directory against the hashes of its chain. */
export class CheckpointCheck {
  readonly #dir: string;
  readonly #verifiers: readonly NoteVerifier[];
  readonly #findings: Findings;
  readonly #bySize = new Map<number, Kept>();
  #count = 0;
  #newest: (Checkpoint & { readonly file: string }) | undefined;

  private constructor(dir: string, verifiers: readonly NoteVerifier[], findings: Findings) {
    this.#dir = dir;
    this.#verifiers = verifiers;
    this.#findings = findings;
  }

  /** Reads all checkpoints of a directory; those that no given key signed become problems. */
  static async read(dir: string, verifiers: readonly NoteVerifier[], findings: Findings): Promise<CheckpointCheck> {
    const check = new CheckpointCheck(dir, verifiers, findings);
    const history = join(dir, HISTORY);
    let line = 0;
    try {
      for await (const { text } of readLines(history)) {
        line += 1;
        const note = noteOf(text);
        if (note !== undefined) check.#take(note, history, line);
        else findings.notes.push(`${history} line ${line} is half a checkpoint: a broker died while it wrote.`);
      }
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    const latest = await readFile(join(dir, LATEST), "utf8").catch(() => undefined);
    if (latest !== undefined) check.#take(latest, join(dir, LATEST), undefined);
    return check;
  }

  #take(note: string, file: string, line: number | undefined): void {
    this.#count += 1;
    const opened = openNote(note, this.#verifiers);
    const checkpoint = parseCheckpoint(opened.text);
    if (opened.outcome !== "good" || checkpoint === undefined) {
      const why =
        opened.outcome === "wrong"
          ? "its signature does not fit what it says"
          : opened.outcome === "unknown"
            ? "none of the known keys signed it"
            : "it is not in the form of a checkpoint";
      return this.#findings.add({ kind: "signature", file, line, message: `cannot be believed: ${why}` });
    }
    const other = this.#bySize.get(checkpoint.size);
    if (other !== undefined && other.head !== checkpoint.head) {
      return this.#findings.add({
        kind: "signature",
        file,
        line,
        message: `contradicts ${other.file}${other.line === undefined ? "" : ` line ${other.line}`}: two hashes were signed for ${checkpoint.size} records`,
      });
    }
    this.#bySize.set(checkpoint.size, { head: checkpoint.head, file, line });
    if (checkpoint.size >= (this.#newest?.size ?? 0)) this.#newest = { ...checkpoint, file };
  }

  /** The hash after `size` records, as the files have it. */
  reached(size: number, hash: string, where: string): void {
    const kept = this.#bySize.get(size);
    if (kept === undefined || kept.head === hash) return;
    this.#findings.add({
      kind: "changed",
      file: kept.file,
      line: kept.line,
      message: `vouches for another record than ${where}, or for others before it`,
    });
  }

  /** What only shows at the end: files missing before the first one, records cut off, records that nothing signs. */
  finish(walked: Walked): { readonly checkpoints: number; readonly unsigned: number } {
    const total = walked.first + walked.records;
    this.#checkOpening(walked);
    if (this.#newest !== undefined && this.#newest.size > total) this.#cut(this.#newest, walked, total);
    if (this.#count === 0 && walked.records > 0) {
      this.#findings.add({
        kind: "unsigned",
        file: join(this.#dir, LATEST),
        message: `there is no checkpoint, so nothing vouches for ${walked.records} records`,
      });
    }
    return { checkpoints: this.#count, unsigned: Math.max(0, total - Math.max(walked.first, this.#newest?.size ?? 0)) };
  }

  #checkOpening(walked: Walked): void {
    const [first] = walked.segments;
    if (first === undefined || walked.records === 0 || (walked.first === 0 && walked.prevOfFirst === GENESIS)) return;
    if (walked.first > 0 && this.#bySize.get(walked.first)?.head === walked.prevOfFirst) {
      this.#findings.notes.push(
        `${this.#dir} begins at record ${walked.first}, as a signed checkpoint says; the files before it are elsewhere: verify them there.`,
      );
      return;
    }
    const message =
      walked.first === 0
        ? "is not the first record that was written here"
        : `begins at record ${walked.first}, and no checkpoint vouches for what went before`;
    this.#findings.add({ kind: "missing", file: first.path, line: 1, message });
  }

  #cut(newest: Checkpoint & { readonly file: string }, walked: Walked, total: number): void {
    const ends = new Map(walked.runs.filter((run) => run.era === walked.eras.length - 1).map((run) => [run.bucket, run.to]));
    const lost = newest.sequences.flatMap((to, bucket) =>
      to > (ends.get(bucket) ?? 0) ? [{ bucket, from: (ends.get(bucket) ?? 0) + 1, to }] : [],
    );
    const words = lost
      .slice(0, 8)
      .map(({ bucket, from, to }) => `bucket ${bucket}: ${from === to ? from : `${from} to ${to}`}`)
      .join(", ");
    const at = walked.last === undefined ? { file: this.#dir } : { file: walked.last.segment.path, line: walked.last.line };
    const message = `is the last of ${total} records, but ${newest.file} vouches for ${newest.size}: ${newest.size - total} were cut off${words === "" || walked.first > 0 ? "" : ` (${words})`}`;
    this.#findings.add({ kind: "cut", ...at, bucket: lost[0]?.bucket, seq: lost[0]?.from, message });
  }
}

/** Checkpoints that somebody kept elsewhere: one of the directories must hold what each vouches for. */
export class AnchorCheck {
  readonly #anchors: { readonly size: number; readonly head: string; readonly name: string; seen: boolean }[] = [];

  constructor(notes: readonly string[], verifiers: readonly NoteVerifier[], findings: Findings) {
    for (const [index, note] of notes.entries()) {
      const name = `checkpoint ${index + 1} given`;
      const opened = openNote(note, verifiers);
      const checkpoint = parseCheckpoint(opened.text);
      if (opened.outcome === "good" && checkpoint !== undefined)
        this.#anchors.push({ size: checkpoint.size, head: checkpoint.head, name, seen: checkpoint.size === 0 });
      else findings.add({ kind: "signature", file: name, message: "cannot be believed: none of the known keys signed it as it stands" });
    }
  }

  reached(size: number, hash: string): void {
    for (const anchor of this.#anchors) if (anchor.size === size && anchor.head === hash) anchor.seen = true;
  }

  finish(findings: Findings): void {
    for (const { name, size, seen } of this.#anchors) {
      if (!seen)
        findings.add({
          kind: "cut",
          file: name,
          message: `vouches for ${size} records that no directory holds: they were cut off or changed, or their directory was not given`,
        });
    }
  }
}

function noteOf(line: string): string | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && "note" in value && typeof value.note === "string" ? value.note : undefined;
  } catch {
    return undefined;
  }
}

const isMissing = (error: unknown): boolean => typeof error === "object" && error !== null && "code" in error && error.code === "ENOENT";
