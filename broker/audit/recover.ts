import { StintError } from "../../domain/errors.ts";
import { lineHash } from "./canonical.ts";
import { EMPTY_TAIL, isRecord, readLine, type Tail } from "./chain.ts";
import { listSegments, ownFile, readLines, type Segment } from "./segments.ts";

/** What a start found in the directory. */
export interface Recovered {
  readonly tail: Tail;
  /** The segment to go on writing, and its length in bytes. */
  readonly last: (Segment & { readonly bytes: number }) | undefined;
  /** Bytes of a half-written last record behind the end; the record itself is still in the store. */
  readonly tornBytes: number;
  /** Id of the store that an operator accepted behind the checkpoint, if one did. */
  readonly acceptedStore: string | undefined;
}

/**
 * Finds where the chain ends, reading no more than the file of the last signed checkpoint and what follows. Changes nothing.
 * Throws `audit_unavailable` when the files do not lead on from the checkpoint: then they were changed, and nobody builds on them.
 */
export async function recover(dir: string, signed: Tail | undefined): Promise<Recovered> {
  const segments = await listSegments(dir);
  for (const segment of segments) await ownFile(segment.path);
  const base = signed ?? EMPTY_TAIL;
  const from = Math.max(
    0,
    segments.findLastIndex((segment) => segment.first <= base.size),
  );
  const first = segments[from];
  if (first !== undefined && first.first > base.size)
    throw altered(dir, `the first file begins at record ${first.first}, and no signed checkpoint says what went before`);
  let tail: Tail =
    first === undefined || first.first === base.size ? { ...base, size: first?.first ?? 0 } : { ...base, size: first.first, head: "" };
  if (first === undefined && base.size > 0) throw altered(dir, `a signed checkpoint says ${base.size} records, but there is no file`);
  let bytes = 0;
  let tornBytes = 0;
  let acceptedStore: string | undefined;
  for (const [index, segment] of segments.entries()) {
    if (index < from) continue;
    if (segment.first !== tail.size) throw altered(dir, `${segment.name} should begin at record ${tail.size}`);
    const read = await readOn(segment, tail, base);
    tail = read.tail;
    bytes = read.bytes;
    acceptedStore = read.acceptedStore ?? acceptedStore;
    if (read.torn > 0 && index < segments.length - 1)
      throw altered(dir, `${segment.name} ends in the middle of a record, yet others follow it`);
    tornBytes = read.torn;
  }
  if (tail.size < base.size)
    throw altered(dir, `a signed checkpoint says ${base.size} records, but the files end after ${tail.size}: the rest was cut off`);
  const last = segments.at(-1);
  return { tail, last: last === undefined ? undefined : { ...last, bytes }, tornBytes, acceptedStore };
}

/** Follows the chain through one segment. Up to the checkpoint only the hash at its end matters; behind it every link does. */
async function readOn(
  segment: Segment,
  start: Tail,
  base: Tail,
): Promise<{ readonly tail: Tail; readonly bytes: number; readonly torn: number; readonly acceptedStore: string | undefined }> {
  let sequences = [...start.sequences];
  let { size, head } = start;
  let bytes = 0;
  let acceptedStore: string | undefined;
  for await (const line of readLines(segment.path)) {
    if (line.torn) return { tail: { size, head, sequences }, bytes, torn: line.bytes.length, acceptedStore };
    const record = readLine(line.text);
    const where = `line ${size - segment.first + 1} of ${segment.name}`;
    if (record === undefined) throw altered(segment.path, `${where} is not a record`);
    if (head !== "" && record.prev !== head) throw altered(segment.path, `${where} does not follow the line before it`);
    head = lineHash(line.bytes);
    size += 1;
    bytes = line.offset + line.bytes.length + 1;
    if (size === base.size && head !== base.head) throw altered(segment.path, `${where} is not what the signed checkpoint says`);
    if (size <= base.size) continue;
    if (isRecord(record)) sequences[record.bucket] = record.seq;
    else {
      sequences = [...record.sequences];
      acceptedStore = record.accepted_store;
    }
  }
  return { tail: { size, head, sequences }, bytes, torn: 0, acceptedStore };
}

const altered = (where: string, why: string): StintError =>
  new StintError(
    "audit_unavailable",
    `The audit files at ${where} were altered: ${why}. Keep them for whoever looks into it (stint audit verify), and set STINT_AUDIT_DIR to a new directory.`,
  );
