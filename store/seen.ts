import { bucketOfId, isId } from "../domain/ids.ts";
import type { SeenInstance, SeenStore } from "./api.ts";
import { bare, placeKey } from "./keyspace.ts";
import { pipelined } from "./pipeline.ts";
import { texts, type Runner } from "./run.ts";

/** More instances of one verifier than this are refused. */
export const MAX_INSTANCES = 1_000;
/** Longer than a receipt is kept unless the retention is longer still: what receipts say rests on this. */
const KEEP_MS = 8 * 86_400_000;

/** One hash a verifier, `stint:{meta}:seen:<verifier>`: instance to `[at, max staleness, position, acked]`. */
export function createSeenStore(runner: Runner): SeenStore {
  return {
    async note(verifier, notes) {
      const rows = notes.map(({ instance, at, maxStalenessMs, position }) => [
        instance,
        Math.floor(at),
        Math.ceil(maxStalenessMs),
        position ?? "",
      ]);
      return texts(await runner.run("note-seen", "meta", { verifier, notes: JSON.stringify(rows), max: MAX_INSTANCES, keep: KEEP_MS }));
    },
    async read(verifiers) {
      if (verifiers.length === 0) return new Map();
      const [row = []] = await pipelined(runner, ["meta"], (pipe, place) => {
        for (const verifier of verifiers) pipe.hgetall(`${placeKey(place)}:seen:${verifier}`);
      });
      return new Map(verifiers.map((verifier, index) => [verifier, instancesOf(row[index])]));
    },
    async noteDead(of, deadBy) {
      if (deadBy.size === 0) return;
      const said = JSON.stringify(Object.fromEntries([...deadBy].map(([lease, at]) => [bare(lease), Math.ceil(at)])));
      await runner.run("note-dead", bucketOfId(of), { kind: isId("task", of) ? "task" : "revocation", id: bare(of), said });
    },
  };
}

function instancesOf(reply: unknown): readonly SeenInstance[] {
  return Object.entries((reply ?? {}) as Readonly<Record<string, string>>).map(([instance, text]) => {
    const [at, maxStalenessMs, position, ackedAt] = JSON.parse(text) as [number, number, string, number];
    return { instance, at, maxStalenessMs, position: position === "" ? undefined : position, ackedAt };
  });
}
