import { randomBytes } from "node:crypto";
import type { ProofStore } from "./api.ts";
import { placeKey } from "./keyspace.ts";
import type { Runner } from "./run.ts";

/** Proofs of possession that no opening script spends, under the same keys as those that one does: see `proof_used` in lua/lib.lua. */
export function createProofStore(runner: Runner): ProofStore {
  return {
    async spend(bucket, { id, keepMs }) {
      const mine = randomBytes(12).toString("base64url");
      const key = `${placeKey(bucket)}:j:${id.slice(0, 22)}`;
      // What stood there before us: nothing, or our own word from a try whose reply was lost.
      const before = await runner.keep(key, (client) => client.set(key, mine, "PX", keepMs, "NX", "GET"));
      return before === null || before === mine;
    },
  };
}
