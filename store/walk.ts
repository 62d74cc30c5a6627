import { StintError } from "../domain/errors.ts";
import { placeKey } from "./keyspace.ts";
import type { Runner } from "./run.ts";

/** Where a list goes on. Opaque outside: base64url of `bucket.at`. */
export interface Cursor {
  readonly bucket: number;
  readonly at: string;
}

export const cursorOf = ({ bucket, at }: Cursor): string => Buffer.from(`${bucket}.${at}`).toString("base64url");

/** Reads a cursor of ours; anything else is the caller's mistake. */
export function readCursor(text: string | undefined): Cursor | undefined {
  if (text === undefined) return undefined;
  const match =
    text.length <= 200 ? /^(\d{1,7})\.((?:\d{1,20}(?::\d{1,9})?)?)$/.exec(Buffer.from(text, "base64url").toString("utf8")) : null;
  if (match === null) throw new StintError("invalid_request", "the cursor is not one of ours; start again without it");
  return { bucket: Number(match[1]), at: match[2] ?? "" };
}

/** A page of a sorted set by score; `next` is `score:offset` among equals, undefined at its end. Stable while members come and go. */
export async function walkByScore(
  runner: Runner,
  key: string,
  at: string,
  limit: number,
): Promise<{ members: string[]; next: string | undefined }> {
  const [from = "", offset = "0"] = at.split(":");
  const skip = Number(offset);
  const rows = await runner.ask((client) =>
    client.zrangebyscore(key, from === "" ? "-inf" : from, "+inf", "WITHSCORES", "LIMIT", skip, limit),
  );
  const members = rows.filter((_, index) => index % 2 === 0);
  if (members.length < limit) return { members, next: undefined };
  const last = rows.at(-1) ?? "";
  const equals = rows.filter((value, index) => index % 2 === 1 && value === last).length;
  return { members, next: `${last}:${last === from ? skip + equals : equals}` };
}

/** The records (`l` leases, `t` tasks) behind bare ids of one bucket, in their order; null where there is none. */
export async function recordsOf(
  runner: Runner,
  bucket: number,
  kind: "l" | "t",
  ids: readonly string[],
): Promise<readonly (string | null)[]> {
  return ids.length === 0 ? [] : runner.ask((client) => client.mget(...ids.map((id) => `${placeKey(bucket)}:${kind}:${id}`)));
}
