import { z } from "zod";
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
export const keyOf = (record: AuditRecord): string =>
  `${record.at} ${String(record.bucket).padStart(2, "0")} ${String(record.seq).padStart(15, "0")}`;

export function encodeCursor({ position, below }: AuditCursor): string {
  return Buffer.from(JSON.stringify(["a1", position.first, position.offset, ...(below === undefined ? [] : [below])])).toString(
    "base64url",
  );
}

const Cursor = z.tuple([z.literal("a1"), z.int().min(0), z.int().min(0), z.string().max(128).optional()]);

/** Throws `invalid_request`. */
export function decodeCursor(cursor: string): AuditCursor {
  try {
    const [, first, offset, below] = Cursor.parse(JSON.parse(Buffer.from(cursor, "base64url").toString("utf8")));
    return { position: { first, offset }, below };
  } catch (cause) {
    throw new StintError("invalid_request", "This cursor is not one that the audit gave out. Start again without it.", {}, { cause });
  }
}
