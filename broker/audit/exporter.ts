import { StintError } from "../../domain/errors.ts";
import { toRfc3339, type Clock } from "../../domain/time.ts";
import type { AuditStream } from "../../store/api.ts";
import { breather } from "./breather.ts";
import type { Tail } from "./chain.ts";
import { originOf } from "./checkpoint.ts";
import { CheckpointFiles, type CheckpointKeys } from "./checkpoint-files.ts";
import { collect, mayHaveLeft, opened, requireForward } from "./collect.ts";
import { ExportHealth, type ExporterStatus, type StreamStates } from "./export-health.ts";
import { AuditFiles, type DiskWriter } from "./files.ts";
import { recover } from "./recover.ts";
import { ownDirectory } from "./segments.ts";
import { LOCK_MS, Turn } from "./turn.ts";

export interface ExporterOptions {
  readonly stream: AuditStream;
  readonly keys: CheckpointKeys;
  /** `STINT_AUDIT_DIR`. */
  readonly dir: string;
  /** `STINT_URL`: names whose checkpoints these are. */
  readonly url: string;
  readonly storeId: string;
  /** Unique to this process. */
  readonly holder: string;
  readonly clock: Clock;
  readonly writer?: DiskWriter;
}

/** A store as the files knew it last. */
export interface StoreWitness {
  readonly storeId: string | undefined;
  readonly sequences: readonly number[];
}

/** After a failure another broker, whose disk may be well, has this long to take the lock. */
const RETRY_MS = 2_000;
const ROUNDS = 20;

/**
 * Moves records from the store to the audit files: append, sync, sign a checkpoint, and only then trim. A crash between any two
 * steps repeats work and loses nothing; what lies in the files already is known by bucket and sequence. One broker at a time.
 */
export class AuditExporter {
  readonly #options: ExporterOptions;
  readonly #checkpoints: CheckpointFiles;
  readonly #health: ExportHealth;
  #open: { readonly files: AuditFiles; readonly fence: number } | undefined;
  #locked = false;
  #followed = false;
  #queued: Promise<number> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #retryAt = -Infinity;

  constructor(options: ExporterOptions) {
    this.#options = options;
    this.#health = new ExportHealth(options.clock);
    this.#checkpoints = new CheckpointFiles({
      dir: options.dir,
      origin: originOf(options.url),
      storeId: options.storeId,
      keys: options.keys,
    });
  }

  /** Whether issuing may go on, and if not, why. Cheap: answers from what the last round saw. */
  status(): ExporterStatus {
    return this.#health.status();
  }

  /**
   * What the files of this directory witness: the last exported sequence per bucket, and which store it was; undefined where there
   * are none yet. Changes nothing. The first time it follows the chain to its end, later it believes the newest checkpoint.
   */
  async witness(): Promise<StoreWitness | undefined> {
    const { dir, storeId } = this.#options;
    if (this.#open !== undefined && this.#open.files.tail.size > 0) return { storeId, sequences: this.#open.files.tail.sequences };
    const signed = await this.#checkpoints.latest();
    if (this.#followed && signed !== undefined) return { storeId: signed.store, sequences: signed.sequences };
    await ownDirectory(dir);
    const { tail, acceptedStore } = await recover(dir, signed);
    this.#followed = true;
    if (tail.size === 0) return undefined;
    return { storeId: acceptedStore ?? signed?.store ?? (await this.#checkpoints.claimedStore()), sequences: tail.sequences };
  }

  /**
   * Lets the files go on from a store that has gone back, or from another one: what still waits in it is exported behind a line that
   * says who decided so and why. Throws `audit_unavailable` when the files cannot be written or another broker is writing.
   */
  accept(by: string, reason: string): Promise<void> {
    return this.#alone(() => this.#accept(by, reason));
  }

  async #accept(by: string, reason: string): Promise<void> {
    const { stream, clock, holder, storeId } = this.#options;
    const turn = new Turn(clock, clock());
    const lock = await stream.lock(holder, LOCK_MS);
    if (lock === undefined)
      throw new StintError("audit_unavailable", "Another broker is writing the audit files just now. Try again.", {
        retryAfterSeconds: 15,
      });
    this.#locked = true;
    const files = await this.#filesFor(lock.fence);
    const states = await stream.states();
    const sequences = states.map(({ firstWaiting, lastSeq }) => (firstWaiting === undefined ? lastSeq : firstWaiting - 1));
    const accepted = { accepted_store: storeId, at: toRfc3339(clock()), principal: by, reason, sequences };
    await files.acceptStore(accepted, clock(), turn.isOurs);
    await this.#checkpoints.sign(files.tail, files.segment, clock());
    this.#retryAt = -Infinity; // what the last rounds stumbled over is settled
  }

  /** The duty: exports what waits by now, behind a round under way, if it is this broker's turn. Never throws. Returns how many it exported. */
  round(): Promise<number> {
    this.#queued ??= this.#alone(() => {
      this.#queued = undefined;
      return this.#round();
    });
    return this.#queued;
  }

  /** One at a time in this process, too. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#last.then(work);
    this.#last = next.catch(() => undefined);
    return next;
  }

  async #round(): Promise<number> {
    const { stream, clock, holder } = this.#options;
    try {
      const states = await stream.states();
      this.#health.look(states);
      if (clock() < this.#retryAt) return 0;
      const turn = new Turn(clock, clock());
      const lock = await stream.lock(holder, LOCK_MS);
      this.#locked = lock !== undefined;
      if (lock === undefined) return await this.#stepBack();
      return await this.#export(states, lock.fence, turn);
    } catch (error) {
      await this.#fail(error);
      return 0;
    }
  }

  /** Another broker exports. Our own trouble with the disk does not matter as long as that one keeps up. */
  async #stepBack(): Promise<number> {
    await this.#close();
    this.#health.succeeded();
    return 0;
  }

  async #export(first: StreamStates, fence: number, turn: Turn): Promise<number> {
    const { stream, clock, holder } = this.#options;
    const takenOver = this.#open?.fence !== fence;
    const files = await this.#filesFor(fence);
    // Whoever exported before may have done so since we looked: compared with its files, what we saw would seem to have gone back.
    let states = takenOver ? await stream.states() : first;
    let exported = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      requireForward(states, files.tail);
      const breathe = breather(this.#health.backlogMs);
      const batch = await collect(stream, states, files.tail, breathe);
      if (!turn.hasTimeForABatch()) throw new StintError("audit_unavailable", "The exporter's lock ran out while records were read.");
      if (batch.length > 0) await files.append(opened(batch), clock(), { breathe, ours: turn.isOurs });
      if (!turn.isOurs()) throw new StintError("audit_unavailable", "The exporter's lock ran out while records were written.");
      if (batch.length > 0 || this.#health.failing) await this.#checkpoints.sign(files.tail, files.segment, clock());
      await Promise.all(states.map((state, bucket) => this.#trim(state, bucket, files.tail)));
      exported += batch.length;
      this.#health.succeeded();
      // what came in meanwhile is for the next round: it comes within the second
      if (batch.length === 0 || !mayHaveLeft(states, files.tail)) return this.#health.caughtUp(exported);
      turn.lengthen(clock());
      if ((await stream.lock(holder, LOCK_MS))?.fence !== fence) break;
      states = await stream.states();
      this.#health.look(states);
    }
    return exported;
  }

  /** A new fence means that somebody else may have written here since: what we think of the files is void. */
  async #filesFor(fence: number): Promise<AuditFiles> {
    if (this.#open !== undefined && this.#open.fence === fence) return this.#open.files;
    await this.#close();
    await ownDirectory(this.#options.dir);
    const writer = this.#options.writer;
    const files = await AuditFiles.open({ dir: this.#options.dir, signed: await this.#checkpoints.latest(), ...(writer && { writer }) });
    this.#open = { files, fence };
    return files;
  }

  async #trim({ firstWaiting }: StreamStates[number], bucket: number, tail: Tail): Promise<void> {
    const done = tail.sequences[bucket] ?? 0;
    if (firstWaiting !== undefined && firstWaiting <= done) await this.#options.stream.trim(bucket, done);
  }

  async #fail(error: unknown): Promise<void> {
    // A store that is away for a moment is no trouble with the audit: nothing can be issued without it anyway, and nothing was lost.
    if (error instanceof StintError && error.code === "store_unavailable") return;
    this.#health.failed(error);
    this.#retryAt = this.#options.clock() + RETRY_MS;
    await this.#letGo().catch(() => undefined); // the lock runs out by itself
  }

  async #close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.files[Symbol.asyncDispose]();
  }

  /** Lets go of files and lock, for the next broker to take over at once. */
  close(): Promise<void> {
    return this.#alone(() => this.#letGo());
  }

  async #letGo(): Promise<void> {
    await this.#close();
    if (this.#locked) await this.#options.stream.unlock(this.#options.holder);
    this.#locked = false;
  }
}
