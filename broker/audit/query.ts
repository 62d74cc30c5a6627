import { stat } from "node:fs/promises";
import type { AuditRecord } from "../../domain/audit-event.ts";
import type { AuditStream, Page } from "../../store/api.ts";
import type { AuditQuery } from "./api.ts";
import { backwards } from "./backwards.ts";
import { isRecord, readLine, type ChainedRecord } from "./chain.ts";
import { decodeCursor, encodeCursor, keyOf, type AuditCursor, type Position } from "./cursor.ts";
import { matches } from "./filter.ts";
import { listSegments, readLines, type Segment } from "./segments.ts";

export interface QuerySource {
  readonly dir: string;
  readonly stream: AuditStream;
}

/** One page looks at no more lines than this; it may then be short, with a cursor to go on from. */
const LOOKED_AT = 20_000;
/** Records of one bucket, not yet exported, that a page looks at. The exporter leaves few. */
const WAITING = 200;
/** Clocks of brokers differ, and a record is written a while after its time. */
const MARGIN_MS = 300_000;

/**
 * Audit records, newest first: those that still wait in the store, then those in this broker's files. Memory is bounded whatever the
 * trail holds, and a page that had to look at too much is short. What is exported between two pages is neither skipped nor repeated.
 * Throws `invalid_request` for a cursor that is none of ours.
 */
export async function queryAudit(
  source: QuerySource,
  query: AuditQuery,
  cursor: string | undefined,
  limit: number,
): Promise<Page<AuditRecord>> {
  const segments = await listSegments(source.dir).catch(() => []);
  const from = cursor === undefined ? { position: await endOf(segments), below: "~" } : decodeCursor(cursor);
  const items: AuditRecord[] = [];
  if (from.below !== undefined) {
    const fresh = await freshRecords(source.stream, segments, from, query);
    items.push(...fresh.slice(0, limit));
    const last = items.at(-1);
    if (fresh.length > limit && last !== undefined)
      return { items, nextCursor: encodeCursor({ position: from.position, below: keyOf(last) }) };
  }
  const position = items.length < limit ? await fill(segments, from.position, query, items, limit) : from.position;
  return { items, nextCursor: position && encodeCursor({ position, below: undefined }) };
}

/** What lies in front of the files as they were when the first page was asked for: waiting still, or exported since. */
async function freshRecords(
  stream: AuditStream,
  segments: readonly Segment[],
  { position, below }: AuditCursor,
  query: AuditQuery,
): Promise<readonly AuditRecord[]> {
  const fresh = new Map<string, AuditRecord>();
  const take = (record: AuditRecord): void => {
    if (matches(record, query) && keyOf(record) < (below ?? "")) fresh.set(keyOf(record), record);
  };
  const states = await stream.states();
  const waiting = await Promise.all(
    states.map(async ({ firstWaiting, lastSeq }, bucket) =>
      firstWaiting === undefined ? [] : stream.read(bucket, Math.max(firstWaiting - 1, lastSeq - WAITING), WAITING),
    ),
  );
  waiting.flat().forEach(take);
  for await (const record of since(segments, position)) take(record);
  return [...fresh].sort(([a], [b]) => (a < b ? 1 : -1)).map(([, record]) => record);
}

/** Records behind a place in the files, a bounded number of them. */
async function* since(segments: readonly Segment[], position: Position): AsyncGenerator<AuditRecord> {
  let left = LOOKED_AT;
  for (const segment of segments) {
    if (segment.first < position.first) continue;
    for await (const { text, torn } of readLines(segment.path, segment.first === position.first ? position.offset : 0)) {
      const line = torn ? undefined : readLine(text);
      if (isRecord(line)) yield withoutLink(line);
      left -= 1;
      if (left <= 0) return;
    }
  }
}

/** Reads backwards until the page is full, or enough was looked at; says where to go on, if anywhere. */
async function fill(
  segments: readonly Segment[],
  from: Position,
  query: AuditQuery,
  items: AuditRecord[],
  limit: number,
): Promise<Position | undefined> {
  let left = LOOKED_AT;
  for (let number = segments.findLastIndex((segment) => segment.first <= from.first); number >= 0; number -= 1) {
    const segment = segments[number];
    if (segment === undefined || (await endedBefore(segment, query.since))) return undefined;
    for await (const { text, offset } of backwards(segment.path, segment.first === from.first ? from.offset : Infinity)) {
      const line = readLine(text);
      if (isRecord(line) && matches(line, query)) items.push(withoutLink(line));
      left -= 1;
      if (items.length >= limit || left <= 0) return offset > 0 || number > 0 ? { first: segment.first, offset } : undefined;
    }
  }
  return undefined;
}

/** A file last written before the time asked for holds nothing of it, nor does any before it. */
async function endedBefore(segment: Segment, earliest: number | undefined): Promise<boolean> {
  return earliest !== undefined && (await stat(segment.path)).mtimeMs < earliest - MARGIN_MS;
}

async function endOf(segments: readonly Segment[]): Promise<Position> {
  const last = segments.at(-1);
  return last === undefined ? { first: 0, offset: 0 } : { first: last.first, offset: (await stat(last.path)).size };
}

/** `prev` is the file's, not the record's. */
function withoutLink({ prev: _prev, ...record }: ChainedRecord): AuditRecord {
  return record;
}
