import { constants, lstat, open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { AuditRecord } from "../../domain/audit-event.ts";
import { StintError } from "../../domain/errors.ts";
import { toRfc3339 } from "../../domain/time.ts";
import { describe } from "../background.ts";
import type { Breather } from "./breather.ts";
import { extend, extendWithStore, type AcceptedStore, type Tail } from "./chain.ts";
import { recover } from "./recover.ts";
import { ownDirectory, segmentName, syncDirectory, type Segment } from "./segments.ts";

/** How bytes reach the disk. Tests hand in one that fails as disks do. */
export interface DiskWriter {
  append(handle: FileHandle, data: Buffer): Promise<void>;
  /** Returns when the data is on the disk. */
  sync(handle: FileHandle): Promise<void>;
}

const disk: DiskWriter = {
  append: (handle, data) => handle.appendFile(data),
  sync: (handle) => handle.datasync(),
};

export interface AuditFilesOptions {
  readonly dir: string;
  /** What the newest signed checkpoint says of this directory. */
  readonly signed: Tail | undefined;
  readonly writer?: DiskWriter;
  readonly segmentBytes?: number;
}

/** Records spelt and hashed in one go, about a millisecond's work. */
const AT_A_TIME = 64;
const SEGMENT_BYTES = 64 * 1024 * 1024;

/**
 * The append-only files of one directory, and the chain through them. A batch is either wholly on the disk or, after a failure,
 * wholly cut off again. Throws `audit_unavailable`; after that only opening anew helps, for nobody knows what the disk holds.
 */
export class AuditFiles implements AsyncDisposable {
  readonly #dir: string;
  readonly #writer: DiskWriter;
  readonly #segmentBytes: number;
  #tail: Tail;
  #segment: (Segment & { bytes: number; readonly handle: FileHandle }) | undefined;

  private constructor(options: AuditFilesOptions, tail: Tail) {
    this.#dir = options.dir;
    this.#writer = options.writer ?? disk;
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
    this.#tail = tail;
  }

  /** Opens a directory and finds the end of its chain; a record torn by a crash is cut off. */
  static async open(options: AuditFilesOptions): Promise<AuditFiles> {
    await ownDirectory(options.dir);
    const { tail, last, tornBytes } = await recover(options.dir, options.signed);
    const files = new AuditFiles(options, tail);
    if (last !== undefined) {
      const handle = await openSegment(last.path, 0);
      files.#segment = { ...last, handle };
      if (tornBytes > 0) await handle.truncate(last.bytes);
      await handle.sync(); // what was read may still be in memory only, left by a process that died before its sync
    }
    return files;
  }

  get tail(): Tail {
    return this.#tail;
  }

  /** Name of the file that is written now. */
  get segment(): string | undefined {
    return this.#segment?.name;
  }

  /** Appends records behind the last one and returns when they are on the disk. `ours` tells whether nobody else may write here yet. */
  async append(
    records: Iterable<AuditRecord>,
    now: number,
    { breathe = setImmediate, ours = always }: { readonly breathe?: Breather; readonly ours?: () => boolean } = {},
  ): Promise<void> {
    let tail = this.#tail;
    const data: Buffer[] = [];
    for (const few of batches(records, AT_A_TIME)) {
      if (data.length > 0) await breathe();
      const next = extend(tail, few);
      data.push(bytesOf(next.lines));
      tail = next.tail;
    }
    await this.#write(Buffer.concat(data), tail, now, ours);
  }

  /** Goes on from another state of the store: its sequences count from here on. */
  acceptStore(accepted: Omit<AcceptedStore, "prev">, now: number, ours: () => boolean = always): Promise<void> {
    const { lines, tail } = extendWithStore(this.#tail, accepted);
    return this.#write(bytesOf(lines), tail, now, ours);
  }

  async #write(data: Buffer, tail: Tail, now: number, ours: () => boolean): Promise<void> {
    const segment = await this.#writable(now);
    try {
      await this.#writer.append(segment.handle, data);
      await this.#writer.sync(segment.handle);
    } catch (cause) {
      // What a failed write or sync left behind cannot be trusted, whatever reads back: cut it off, and write it again later. Unless the
      // failure came so late that another broker may have read it, and written behind it: its records would go with ours.
      if (ours()) await segment.handle.truncate(segment.bytes).catch(() => undefined);
      throw new StintError("audit_unavailable", `The audit file ${segment.name} could not be written: ${describe(cause)}.`, {}, { cause });
    }
    segment.bytes += data.length;
    this.#tail = tail;
  }

  /** The segment to write, unless somebody else has touched it; a new one each day and every 64 MiB. */
  async #writable(now: number): Promise<Segment & { bytes: number; readonly handle: FileHandle }> {
    const held = this.#segment;
    if (held !== undefined) {
      const [opened, named] = await Promise.all([held.handle.stat(), lstat(held.path).catch(() => undefined)]);
      if (named === undefined || named.ino !== opened.ino)
        throw new StintError("audit_unavailable", `The audit file ${held.name} was removed or replaced while it was written.`);
      if (opened.size !== held.bytes) throw new StintError("audit_unavailable", `Somebody else writes to the audit file ${held.name}.`);
    }
    const name = segmentName(held?.first ?? 0, toRfc3339(now));
    if (held !== undefined && (held.bytes === 0 || (held.name === name && held.bytes < this.#segmentBytes))) return held;
    const path = join(this.#dir, segmentName(this.#tail.size, toRfc3339(now)));
    const handle = await openSegment(path, constants.O_CREAT | constants.O_EXCL);
    await syncDirectory(this.#dir);
    await held?.handle.close();
    this.#segment = { path, name: segmentName(this.#tail.size, toRfc3339(now)), first: this.#tail.size, bytes: 0, handle };
    return this.#segment;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#segment?.handle.close().catch(() => undefined);
    this.#segment = undefined;
  }
}

const always = (): boolean => true;

const bytesOf = (lines: readonly string[]): Buffer => Buffer.from(lines.map((line) => `${line}\n`).join(""));

function* batches<T>(all: Iterable<T>, size: number): Generator<readonly T[]> {
  let batch: T[] = [];
  for (const one of all) {
    if (batch.push(one) < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

function openSegment(path: string, flags: number): Promise<FileHandle> {
  return open(path, constants.O_RDWR | constants.O_APPEND | constants.O_NOFOLLOW | flags, 0o600);
}
