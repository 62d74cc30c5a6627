import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CheckpointFiles, type CheckpointKeys } from "../../broker/audit/checkpoint-files.ts";
import { AuditFiles } from "../../broker/audit/files.ts";
import { noteVerifier, type NoteVerifier } from "../../broker/audit/signed-note.ts";
import type { AuditRecord } from "../../domain/audit-event.ts";

export const ORIGIN = "stint.acme.dev/audit";

export interface CheckpointKeyPair extends CheckpointKeys {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly verifier: NoteVerifier;
}

/** A checkpoint key in memory, shaped as the store's. */
export function checkpointKeyPair(): CheckpointKeyPair {
  const pair = generateKeyPairSync("ed25519");
  return { ...pair, verifier: noteVerifier(ORIGIN, pair.publicKey), checkpointKey: async () => pair, checkpointKeys: async () => [pair] };
}

/** Records of several buckets, each with its own sequence, as an exporter would hand them over. */
export function someRecords(
  count: number,
  more: { readonly buckets?: number; readonly from?: readonly number[]; readonly at?: number } = {},
): AuditRecord[] {
  const sequences = [...(more.from ?? [])];
  const start = more.at ?? Date.parse("2026-03-02T12:00:00Z");
  return Array.from({ length: count }, (_, index) => {
    const bucket = (index * 7) % (more.buckets ?? 3);
    const seq = (sequences[bucket] = (sequences[bucket] ?? 0) + 1);
    return {
      action: "lease.issued",
      principal: `github:${bucket}`,
      workload: `github/acme/${bucket}`,
      grant: "deploy",
      n: index,
      bucket,
      seq,
      at: new Date(start + index * 10).toISOString(),
    };
  });
}

/** A directory of audit files, gone with the test. */
export async function auditDirectory(): Promise<{ readonly dir: string } & AsyncDisposable> {
  const dir = await mkdtemp(join(tmpdir(), "stint-audit-"));
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
}

/** Writes records into a directory in batches, each under a signed checkpoint, as the exporter does. */
export async function writeTrail(
  dir: string,
  batches: readonly (readonly AuditRecord[])[],
  keys: CheckpointKeyPair,
  options: { readonly segmentBytes?: number; readonly now?: number } = {},
): Promise<void> {
  const checkpoints = new CheckpointFiles({ dir, origin: ORIGIN, storeId: "store-1", keys });
  await using files = await AuditFiles.open({
    dir,
    signed: await checkpoints.latest(),
    ...(options.segmentBytes !== undefined && { segmentBytes: options.segmentBytes }),
  });
  let now = options.now ?? Date.parse("2026-03-02T12:00:00Z");
  for (const batch of batches) {
    await files.append(batch, now);
    await checkpoints.sign(files.tail, files.segment, now);
    now += 61_000;
  }
}

/** The lines of a directory's segments, and a way to put others in their place. */
export async function segmentFiles(
  dir: string,
): Promise<readonly { readonly path: string; readonly lines: readonly string[]; rewrite(lines: readonly string[]): Promise<void> }[]> {
  const names = (await readdir(dir)).filter((name) => name.startsWith("audit-")).sort();
  return Promise.all(
    names.map(async (name) => {
      const path = join(dir, name);
      return {
        path,
        lines: (await readFile(path, "utf8")).split("\n").slice(0, -1),
        rewrite: (lines: readonly string[]) => writeFile(path, lines.map((line) => `${line}\n`).join("")),
      };
    }),
  );
}
