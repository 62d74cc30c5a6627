import type { AuditRecord } from "../../domain/audit-event.ts";
import { StintError } from "../../domain/errors.ts";

/** A place in the trail: the segment that begins at record `first`, and a byte of it that a line begins at. */
export interface Position {
  readonly first: number;
  readonly offset: number;
}

/** Where the next page begins: in front of the position while `below` is set, with records that sort below it; else at the position. */
export interface AuditCursor {
  readonly position: Position;
  readonly below: string | undefined;
}

/** Sorts records that are not in files yet: by time, then by bucket and sequence. */
export const keyOf = (record: AuditRecord): string => `${record.at} ${String(record.bucket).padStart(2, "0")} ${String(record.seq).padStart(15, "0")}`;

export function encodeCursor({ position, below }: AuditCursor): string {
  return Buffer.from(JSON.stringify(["a1", position.first, position.offset, ...(below === undefined ? [] : [below])])).toString("base64url");
}

/** Throws `invalid_request`. */
export function decodeCursor(cursor: string): AuditCursor {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
    if (Array.isArray(value) && value[0] === "a1" && isPlace(value[1]) && isPlace(value[2]) && (value.length === 3 || (value.length === 4 && typeof value[3] === "string"))) {
      return { position: { first: value[1], offset: value[2] }, below: value[3] };
    }
  } catch {
    // said below
  }
  throw new StintError("invalid_request", "This cursor is not one that the audit gave out. Start again without it.");
}

const isPlace = (value: unknown): value is number => typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
