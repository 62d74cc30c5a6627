import type { TargetStore } from "./api-targets.ts";
import { placeKey } from "./keyspace.ts";
import { pipelined } from "./pipeline.ts";
import type { Runner } from "./run.ts";

/** A serial stays listed so long after its certificate ended: clocks differ. */
const KEEP_MS = 600_000;
/** Member of the hash of serials that holds the list's number; no serial looks like it. */
const NUMBER = "#";

/**
 * Three keys a target: `stint:{meta}:vault:T` (hash: name to sealed value), `stint:{meta}:serials:T` (sorted set: serial by expiry)
 * and `stint:{meta}:revoked:T` (hash: serial to when it was revoked, and the list's number).
 */
export function createTargetStore(runner: Runner): TargetStore {
  const vault = (target: string): string => `${placeKey("meta")}:vault:${target}`;
  const names = (): Promise<string[]> => runner.ask((client) => client.smembers(`${placeKey("meta")}:vaults`));
  return {
    async secret(target, name) {
      return (await runner.ask((client) => client.hget(vault(target), name))) ?? undefined;
    },
    async swapSecret(target, name, from, to) {
      const reply = await runner.run("swap-secret", "meta", { target, name, from: from ?? "", to });
      return reply === "swapped" ? "swapped" : "changed";
    },
    async secrets(targets) {
      const found = await Promise.all(
        targets.map(async (target) =>
          Object.entries(await runner.ask<Record<string, string>>((client) => client.hgetall(vault(target)))).map(([name, sealed]) => ({
            target,
            name,
            sealed,
          })),
        ),
      );
      return found.flat();
    },
    names,
    async revokeSerial(target, serial, expiresAt) {
      const reply = await runner.run("revoke-serial", "meta", { target, serial, keep_until: Math.ceil(expiresAt) + KEEP_MS });
      return reply === "revoked" ? "revoked" : "already_gone";
    },
    async revokedSerials(target) {
      const [row = []] = await pipelined(runner, ["meta"], (pipe, place) => {
        pipe.zrange(`${placeKey(place)}:serials:${target}`, "0", "-1", "WITHSCORES");
        pipe.hgetall(`${placeKey(place)}:revoked:${target}`);
      });
      const scored = (row[0] ?? []) as readonly string[];
      const at = (row[1] ?? {}) as Readonly<Record<string, string>>;
      const entries = scored.flatMap((serial, index) =>
        index % 2 === 1 ? [] : [{ serial, revokedAt: Number(at[serial] ?? 0), expiresAt: Number(scored[index + 1] ?? 0) - KEEP_MS }],
      );
      return { number: Number(at[NUMBER] ?? 0), entries };
    },
  };
}
