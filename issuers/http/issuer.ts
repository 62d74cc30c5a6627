import {
  type Credential,
  type Issued,
  type IssueOrder,
  type Issuer,
  PermanentFailure,
  type RevokeOrder,
  type TargetFacts,
} from "../../domain/credential.ts";
import { Secret } from "../../domain/secret.ts";
import type { IssuerKind, OpenTarget, TargetPorts } from "../../domain/target.ts";
import { SKEW_MS, toRfc3339 } from "../../domain/time.ts";
import { callMaker, type MakerParts, readAnswer, refusalOf } from "./call.ts";
import { firstPage, listMade } from "./list.ts";
import { HttpParams, HttpSettings, httpOptions } from "./settings.ts";
import { CreateAnswer, type CreateRequest, type MadeCredential, RenewAnswer } from "./wire.ts";

/** Credentials that somebody else's program makes, over HTTP, by the contract of docs/issuers/http.md. */
export const httpKind: IssuerKind<HttpSettings, HttpParams> = {
  kind: "http",
  settings: HttpSettings,
  params: () => HttpParams,
  revocation: (settings) => settings.revocation,
  open: openHttp,
};

interface Parts extends MakerParts {
  readonly target: string;
}

function openHttp({ name, settings }: OpenTarget<HttpSettings>, ports: TargetPorts): Issuer<HttpParams> {
  const parts: Parts = { target: name, settings, ports };
  const options = httpOptions(settings.options);
  return {
    kind: "http",
    place: settings.url,
    params: HttpParams,
    ...(settings.options.length > 0 && { options }),
    maxTtlMs: settings.max_ttl,
    revocation: settings.revocation,
    computesOnly: false,
    bearer: false,
    externalName: (lease) => lease,
    issue: (order, signal) => issue(parts, order, signal),
    revoke: (order, signal) => revoke(parts, order, signal),
    ...(settings.renew && { renew: (order: IssueOrder<HttpParams>, signal: AbortSignal) => renew(parts, order, signal) }),
    ...(settings.list && { list: (signal: AbortSignal) => listMade(parts, signal) }),
    examine: (signal) => examine(parts, signal),
  };
}

async function issue(parts: Parts, order: IssueOrder<HttpParams>, signal: AbortSignal): Promise<Issued> {
  const answer = await callMaker(parts, { method: "POST", path: "/credentials", body: requestOf(parts, order), signal });
  // The maker knows that the lease has ended: its tombstone was there first.
  if (answer.status === 409 || answer.status === 410) throw new PermanentFailure("the maker says that this lease was made or ended before");
  if (answer.status !== 200 && answer.status !== 201) throw refusalOf(answer, "make a credential");
  return issuedOf(order, readAnswer(CreateAnswer, answer));
}

function requestOf({ target, ports }: Parts, order: IssueOrder<HttpParams>): CreateRequest {
  return {
    lease_id: order.leaseId,
    broker: ports.broker,
    target,
    subject: order.subject,
    workload: order.workload,
    grant: order.grant,
    ...(order.purpose !== undefined && { purpose: order.purpose }),
    scope: [...order.scope],
    params: order.params.params,
    options: order.options as CreateRequest["options"], // parsed by `httpOptions`
    issued_at: toRfc3339(order.issuedAt),
    expires_at: toRfc3339(order.expiresAt),
  };
}

/** Whatever is thrown here, the lease is ended at the maker: what it made is handed to nobody. */
function issuedOf(order: IssueOrder<HttpParams>, answer: CreateAnswer): Issued {
  checkBounds(order, answer);
  return { credential: credentialOf(answer.credential), ...(answer.handle !== undefined && { handle: new Secret(answer.handle) }) };
}

function checkBounds(
  order: Pick<IssueOrder<unknown>, "leaseId" | "expiresAt">,
  answer: { readonly lease_id: string; readonly expires_at?: string | undefined },
): void {
  if (answer.lease_id !== order.leaseId) throw new PermanentFailure("the maker answered for another lease");
  if (answer.expires_at !== undefined && Date.parse(answer.expires_at) > order.expiresAt + SKEW_MS)
    throw new PermanentFailure("the maker made a credential that lives longer than its lease");
}

function credentialOf(made: MadeCredential): Credential {
  return {
    type: "http",
    member: made.secret.name,
    token: new Secret(made.secret.value),
    secrets: Object.fromEntries(Object.entries(made.secrets ?? {}).map(([name, value]) => [name, new Secret(value)])),
    facts: { ...(made.kind !== undefined && { kind: made.kind }), ...made.facts },
  };
}

async function revoke(parts: Parts, order: RevokeOrder, signal: AbortSignal): Promise<"revoked" | "already_gone"> {
  const handle = order.handle?.reveal();
  const answer = await callMaker(parts, { method: "DELETE", path: `/credentials/${order.leaseId}`, handle, signal });
  if (answer.status === 200 || answer.status === 204) return "revoked";
  if (answer.status === 404 || answer.status === 410) return "already_gone";
  throw refusalOf(answer, "end a credential");
}

async function renew(parts: Parts, order: IssueOrder<HttpParams>, signal: AbortSignal): Promise<Issued | undefined> {
  const body = { lease_id: order.leaseId, expires_at: toRfc3339(order.expiresAt) };
  const answer = await callMaker(parts, { method: "POST", path: `/credentials/${order.leaseId}/renew`, body, signal });
  if (answer.status === 204) return undefined;
  if (answer.status === 404 || answer.status === 410) throw new PermanentFailure("the maker no longer has what is to be renewed");
  if (answer.status !== 200 && answer.status !== 201) throw refusalOf(answer, "renew a credential");
  const { credential, ...rest } = readAnswer(RenewAnswer, answer);
  checkBounds(order, rest);
  return credential === undefined ? undefined : issuedOf(order, { ...rest, credential });
}

async function examine(parts: Parts, signal: AbortSignal): Promise<TargetFacts> {
  const { settings } = parts;
  if (!settings.list)
    return { warnings: [`the maker cannot list what it made (list: false): what a restored or emptied store forgets is found by nobody`] };
  await firstPage(parts, signal);
  return { server: `maker at ${settings.url}`, warnings: [] };
}
