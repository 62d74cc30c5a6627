import type { IssueOrder, Issuer } from "../../domain/credential.ts";
import type { IssuerKind, OpenTarget, TargetPorts } from "../../domain/target.ts";
import { examineSite } from "./examine.ts";
import { issueRole, renewRole } from "./issue.ts";
import { listRoles } from "./list.ts";
import { roleOf } from "./names.ts";
import { Revoker } from "./revoke.ts";
import { rotatePassword } from "./rotate.ts";
import { placeOf, postgresParams, PostgresSettings, type PostgresParams } from "./settings.ts";
import { Site } from "./site.ts";

const MAX_TTL_MS = 24 * 3_600_000;

/** Postgres roles: each lease has a login of its own that dies with it, whatever it was doing. */
export const postgresKind: IssuerKind<PostgresSettings, PostgresParams> = {
  kind: "postgres",
  settings: PostgresSettings,
  params: postgresParams,
  revocation: () => "immediate",
  rotates: ({ password }) => password !== undefined,
  open: openPostgres,
};

/** Roles belong to a server as a whole, whichever of its databases we connect to. */
function serverOf(settings: PostgresSettings): string {
  const { host, port } = placeOf(settings);
  return `${host}:${port}`;
}

function openPostgres(target: OpenTarget<PostgresSettings>, ports: TargetPorts): Issuer<PostgresParams> {
  const site = new Site(target.settings, ports);
  const revoker = new Revoker(site);
  return {
    kind: "postgres",
    place: serverOf(target.settings),
    knowsWhatItEnds: true,
    params: postgresParams(target.settings),
    maxTtlMs: MAX_TTL_MS,
    revocation: "immediate",
    computesOnly: false,
    bearer: false,
    externalName: roleOf,
    issue: (order: IssueOrder<PostgresParams>, signal) => issueRole(site, order, signal),
    renew: (order: IssueOrder<PostgresParams>, signal) => renewRole(site, order, signal),
    revoke: ({ leaseId }, signal) => revoker.revoke(leaseId, signal),
    list: (signal) => listRoles(site, signal),
    rotate: (signal) => rotatePassword(site, signal),
    examine: (signal) => examineSite(site, signal),
    close: async () => site.close(),
  };
}
