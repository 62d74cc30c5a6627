import { createReadStream } from "node:fs";
import { lstat, mkdir, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { StintError } from "../../domain/errors.ts";

/** One append-only file of the trail. Its name tells the chain index of its first record and the day it was begun. */
export interface Segment {
  readonly path: string;
  readonly name: string;
  readonly first: number;
}

const NAME = /^audit-(\d{16})-\d{8}\.ndjson$/;
/** A line longer than this was not written by us. */
const MAX_LINE = 4 * 1024 * 1024;
const NEWLINE = 10;

export const segmentName = (first: number, at: string): string =>
  `audit-${String(first).padStart(16, "0")}-${at.slice(0, 10).replaceAll("-", "")}.ndjson`;

/** Makes the directory (0700), or refuses one that others may enter: whoever can write there could rewrite what happened. */
export async function ownDirectory(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const found = await stat(dir);
  if (!found.isDirectory()) throw unsafe(dir, "it is not a directory");
  checkOwner(dir, found, "0700");
}

/** Refuses links, and files that belong to others or that others may read or write. */
export async function ownFile(path: string): Promise<void> {
  const found = await lstat(path);
  if (!found.isFile()) throw unsafe(path, "it is not a plain file");
  checkOwner(path, found, "0600");
}

function checkOwner(path: string, found: { readonly uid: number; readonly mode: number }, wanted: string): void {
  if (process.getuid !== undefined && found.uid !== process.getuid())
    throw unsafe(path, `it belongs to user ${found.uid}, not to the broker's`);
  if ((found.mode & 0o077) !== 0)
    throw unsafe(
      path,
      `others may use it (mode ${(found.mode & 0o777).toString(8).padStart(4, "0")}): chmod ${wanted} it, or name a directory of the broker's own`,
    );
}

const unsafe = (path: string, why: string): StintError =>
  new StintError("audit_unavailable", `The audit files cannot be kept at ${path}: ${why}.`);

/** Every segment of a directory, in order. */
export async function listSegments(dir: string): Promise<readonly Segment[]> {
  const names = (await readdir(dir)).filter((name) => NAME.test(name)).sort();
  return names.map((name) => ({ name, path: join(dir, name), first: Number(NAME.exec(name)?.[1]) }));
}

/** A line and the byte it begins at; the last one of a file may be `torn`, that is, without its newline. */
export interface Line {
  readonly text: string;
  readonly bytes: Buffer;
  readonly offset: number;
  readonly torn: boolean;
}

/** The lines of a file from a byte on, one chunk in memory at a time. */
export async function* readLines(path: string, start = 0): AsyncGenerator<Line> {
  let rest: Buffer = Buffer.alloc(0);
  let offset = start;
  for await (const chunk of createReadStream(path, { start, highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>) {
    const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let from = 0;
    for (let end = data.indexOf(NEWLINE, from); end >= 0; end = data.indexOf(NEWLINE, from)) {
      const bytes = data.subarray(from, end);
      yield { text: bytes.toString("utf8"), bytes, offset: offset + from, torn: false };
      from = end + 1;
    }
    if (data.length - from > MAX_LINE)
      throw new StintError("audit_unavailable", `A line of ${path} is longer than any record: the file is not ours, or was overwritten.`);
    rest = data.subarray(from);
    offset += from;
  }
  if (rest.length > 0) yield { text: rest.toString("utf8"), bytes: rest, offset, torn: true };
}

/** Makes a new file's name survive a power cut. */
export async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
