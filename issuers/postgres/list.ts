import type { LeaseId } from "../../domain/ids.ts";
import { leaseOfRole, markOf } from "./names.ts";
import type { Site } from "./site.ts";

/** Roles that one statement answers with. */
const PAGE = 1_000;

/** The leases whose roles are there and are ours, by their comments: what another broker or a person made is never named. */
export async function* listRoles(site: Site, signal: AbortSignal): AsyncGenerator<LeaseId> {
  for (let after = ""; ;) {
    const names = await site.use("revoke", site.settings.database, "the roles could not be listed", signal, async (client) => {
      const { rows } = await client.query<{ name: string }>(
        `SELECT rolname AS name FROM pg_roles
         WHERE rolname ~ '^lease_' AND rolname > $1::name AND shobj_description(oid, 'pg_authid') = $2 || rolname
         ORDER BY rolname LIMIT ${PAGE}`,
        [after, markOf(site.broker)],
      );
      return rows.map(({ name }) => name);
    });
    for (const name of names) {
      const lease = leaseOfRole(name);
      if (lease !== undefined) yield lease;
    }
    const last = names.at(-1);
    if (last === undefined || names.length < PAGE) return;
    after = last;
  }
}
