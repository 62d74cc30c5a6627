import { constants, open, readFile, rename, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { toRfc3339 } from "../../domain/time.ts";
import type { Tail } from "./chain.ts";
import { checkpointText, parseCheckpoint, type Checkpoint } from "./checkpoint.ts";
import { syncDirectory, type Segment } from "./segments.ts";
import { noteVerifier, openNote, signNote, verifierText, type NoteVerifier } from "./signed-note.ts";
import type { KeyObject } from "node:crypto";

/** The keys that sign checkpoints, and nothing else; the store's `SigningKeys` fits. */
export interface CheckpointKeys {
  checkpointKey(): Promise<{ readonly privateKey: KeyObject; readonly publicKey: KeyObject }>;
  checkpointKeys(): Promise<readonly { readonly publicKey: KeyObject }[]>;
}

/** The newest checkpoint, as a note by itself: to hand to whoever keeps it elsewhere. */
export const LATEST = "checkpoint";
/** Checkpoints over time, one JSON object `{"note": ...}` a line. */
export const HISTORY = "checkpoints.ndjson";
/** The public keys, `name+id+key` a line: a convenience. An auditor keeps them apart from what they sign. */
export const VERIFIERS = "checkpoint-keys";

/** The history gets one checkpoint a minute, and one whenever a segment ends. */
const HISTORY_EVERY_MS = 60_000;

/** Writes and reads the signed checkpoints of one directory. */
export class CheckpointFiles {
  readonly #dir: string;
  readonly #origin: string;
  readonly #store: string;
  readonly #keys: CheckpointKeys;
  #recordedAt = -Infinity;
  #recordedFor: Segment["name"] | undefined;
  #named: ReadonlySet<string> = new Set();

  constructor(options: { readonly dir: string; readonly origin: string; readonly storeId: string; readonly keys: CheckpointKeys }) {
    const { dir, origin, storeId, keys } = options;
    this.#dir = dir;
    this.#origin = origin;
    this.#store = storeId;
    this.#keys = keys;
  }

  /** The newest checkpoint that one of our keys signed; undefined when there is none. */
  async latest(): Promise<Checkpoint | undefined> {
    const note = await readFile(join(this.#dir, LATEST), "utf8").catch(() => "");
    const check = openNote(note, await this.verifiers());
    return check.outcome === "good" ? parseCheckpoint(check.text) : undefined;
  }

  /**
   * The store that the newest checkpoint names, whoever signed it: a lost store took its keys along. Good for suspecting that the
   * store is another one, and for nothing else.
   */
  async claimedStore(): Promise<string | undefined> {
    const note = await readFile(join(this.#dir, LATEST), "utf8").catch(() => "");
    return parseCheckpoint(openNote(note, []).text)?.store;
  }

  async verifiers(): Promise<readonly NoteVerifier[]> {
    return (await this.#keys.checkpointKeys()).map(({ publicKey }) => noteVerifier(this.#origin, publicKey));
  }

  /** Signs where the chain stands now. The newest replaces the one before in one step; both survive a power cut. */
  async sign(tail: Tail, segment: string | undefined, now: number): Promise<void> {
    const { privateKey, publicKey } = await this.#keys.checkpointKey();
    const verifier = noteVerifier(this.#origin, publicKey);
    const note = signNote(checkpointText({ ...tail, origin: this.#origin, at: toRfc3339(now), store: this.#store }), verifier, privateKey);
    await this.#replace(LATEST, note);
    if (segment !== this.#recordedFor || Math.abs(now - this.#recordedAt) >= HISTORY_EVERY_MS) {
      await this.#record(note);
      this.#recordedFor = segment;
      this.#recordedAt = now;
    }
    await this.#nameVerifiers();
  }

  /** Keys once named stay named: what they signed stays here, though the store that held them may be gone. */
  async #nameVerifiers(): Promise<void> {
    const known = (await this.verifiers()).map(verifierText);
    if (known.every((line) => this.#named.has(line))) return;
    const before = await readFile(join(this.#dir, VERIFIERS), "utf8").catch(() => "");
    this.#named = new Set([...before.split("\n").filter(Boolean), ...known]);
    await this.#replace(VERIFIERS, [...this.#named].map((line) => `${line}\n`).join(""));
  }

  async #record(note: string): Promise<void> {
    await written(join(this.#dir, HISTORY), constants.O_APPEND, async (handle) => {
      const { size } = await handle.stat();
      // A history torn by a crash goes on on a new line; whoever reads it passes over what is no JSON.
      const torn = size > 0 && (await lastByte(join(this.#dir, HISTORY), size)) !== 10;
      await handle.writeFile(`${torn ? "\n" : ""}${JSON.stringify({ note })}\n`);
    });
  }

  async #replace(name: string, text: string): Promise<void> {
    const path = join(this.#dir, name);
    await written(`${path}.new`, constants.O_TRUNC, (handle) => handle.writeFile(text));
    await rename(`${path}.new`, path);
    await syncDirectory(this.#dir);
  }
}

async function written(path: string, flag: number, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  const handle = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW | flag, 0o600);
  try {
    await write(handle);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function lastByte(path: string, size: number): Promise<number | undefined> {
  const handle = await open(path, "r");
  try {
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
    return buffer[0];
  } finally {
    await handle.close();
  }
}
