import { Cluster, type Redis } from "ioredis";
import type { Connection } from "./connect.ts";

/**
 * How many replicas must have a write before it is answered: what the address asks for, else half of those that are known (rounded up), so that whoever is
 * promoted among the others' majority has it; never fewer than `min-replicas-to-write`. 0 for a Redis without replicas.
 */
export async function replicasToKeep(connection: Connection): Promise<number> {
  if (connection.replicas !== undefined) return connection.replicas;
  const [known, least] = await Promise.all([knownReplicas(connection), leastReplicas(connection)]);
  return Math.max(Math.ceil(known / 2), least);
}

/** Of the primary that has fewest; replicas that are down right now are among them wherever somebody else remembers them. */
async function knownReplicas(connection: Connection): Promise<number> {
  const { client } = connection;
  if (client instanceof Cluster) return fewest(await sampleNodes(connection.primaries()));
  const connected = await client.info("replication").then((info) => Number(/^connected_slaves:(\d+)/m.exec(info)?.[1] ?? 0));
  const watched = await Promise.all(connection.sentinels().map(replicasAtSentinel));
  return Math.max(connected, ...watched);
}

async function replicasAtSentinel({ sentinel, name }: { readonly sentinel: () => Redis; readonly name: string }): Promise<number> {
  const asked = sentinel();
  asked.on("error", () => undefined);
  try {
    await asked.connect();
    const rows: unknown = await asked.call("SENTINEL", "REPLICAS", name);
    return Array.isArray(rows) ? rows.length : 0;
  } catch {
    return 0; // one that does not answer knows nothing; the others do
  } finally {
    asked.disconnect();
  }
}

async function sampleNodes(primaries: readonly Redis[]): Promise<string> {
  const [first] = primaries;
  return first === undefined ? "" : String(await first.call("CLUSTER", "NODES"));
}

/**
 * `CLUSTER NODES`: id, address, flags, id of its primary; slots from the ninth word on. A primary that died and lost its slots will be
 * a replica when it comes back: nobody says of whom, so it is counted to whoever has fewest.
 */
function fewest(nodes: string): number {
  const rows = nodes.split("\n").map((line) => line.trim().split(" "));
  const primaries = rows.filter(([, , flags = ""]) => flags.includes("master"));
  const hasSlots = (row: readonly string[]): boolean => row.length > 8;
  const hasFailed = ([, , flags = ""]: readonly string[]): boolean => flags.includes("fail");
  const counts = primaries
    .filter((row) => hasSlots(row) && !hasFailed(row))
    .map(([id]) => rows.filter(([, , flags = "", primary]) => flags.includes("slave") && primary === id).length);
  const away = primaries.filter((row) => !hasSlots(row) && hasFailed(row));
  for (const _ of counts.length === 0 ? [] : away) {
    const least = counts.indexOf(Math.min(...counts));
    counts[least] = (counts[least] ?? 0) + 1;
  }
  return counts.length === 0 ? 0 : Math.min(...counts);
}

async function leastReplicas(connection: Connection): Promise<number> {
  const counts = await Promise.all(
    connection.primaries().map(async (node) => {
      const reply: unknown = await node.config("GET", "min-replicas-to-write").catch(() => []);
      return Array.isArray(reply) ? Number(reply[1] ?? 0) : 0;
    }),
  );
  return Math.max(0, ...counts);
}
