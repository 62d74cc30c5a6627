import type { AudienceStore } from "./api.ts";
import { placeKey } from "./keyspace.ts";
import type { Runner } from "./run.ts";

const KEY = `${placeKey("meta")}:audiences`;
/** No token lives longer than a day. */
const REMEMBERED_MS = 26 * 3_600_000;
/** As much as a policy of many grants that changes often comes to. */
const MAX_REMEMBERED = 20_000;

/** One sorted set: `grant audience` by when it was last in force. Neither name holds a space. */
export function createAudienceStore(runner: Runner): AudienceStore {
  const { clock } = runner;
  return {
    async remember(pairs) {
      const now = Math.floor(clock.now());
      const members = [...pairs].flatMap(([grant, audience]) => [now, `${grant} ${audience}`]);
      if (members.length > 0) await runner.ask((client) => client.zadd(KEY, ...members));
      await runner.ask((client) => client.zremrangebyscore(KEY, "-inf", now - REMEMBERED_MS));
      await runner.ask((client) => client.zremrangebyrank(KEY, 0, -(MAX_REMEMBERED + 1)));
    },
    async remembered() {
      const rows = await runner.ask((client) => client.zrangebyscore(KEY, clock.now() - REMEMBERED_MS, "+inf"));
      const found = new Map<string, Set<string>>();
      for (const row of rows) {
        const space = row.indexOf(" ");
        const grant = row.slice(0, space);
        found.set(grant, (found.get(grant) ?? new Set<string>()).add(row.slice(space + 1)));
      }
      return found;
    },
  };
}
