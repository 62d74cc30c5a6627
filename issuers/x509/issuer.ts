import { generateKeyPair } from "node:crypto";
import { promisify } from "node:util";
import { z } from "zod";
import { PermanentFailure, type IssueOrder, type Issued, type Issuer, type TargetFacts } from "../../domain/credential.ts";
import { StintError } from "../../domain/errors.ts";
import { Secret } from "../../domain/secret.ts";
import type { IssuerKind, OpenTarget, TargetPorts } from "../../domain/target.ts";
import { SKEW_MS, toRfc3339, toSeconds } from "../../domain/time.ts";
import { serialOf } from "../naming.ts";
import { Authorities } from "./authorities.ts";
import { leafCertificate } from "./certificate.ts";
import { publishedDocuments } from "./documents.ts";
import { library } from "./library.ts";
import { openLists, READ_EVERY_MS } from "./lists.ts";
import { renderSpiffeId } from "./names.ts";
import { toPem } from "./pem.ts";
import { BadRequest, readRequest, type CertificateRequest } from "./request.ts";
import { x509Params, X509Settings, type X509Params } from "./settings.ts";
import { slotOf } from "./stored.ts";

const DAY_MS = 86_400_000;
/** A CA that ends sooner is worth a warning. */
const WARN_MS = 30 * DAY_MS;

/** `csr`: a PKCS#10 request in PEM, checked. */
const Options = z.strictObject({
  csr: z
    .string("must be a certificate request in PEM")
    .transform((pem, context): CertificateRequest => {
      try {
        return readRequest(pem);
      } catch (error) {
        if (!(error instanceof BadRequest)) throw error;
        context.addIssue({ code: "custom", message: error.message });
        return z.NEVER;
      }
    })
    .optional(),
});

/** An order's `options` were parsed by these. */
type X509Options = z.output<typeof Options>;

/** Short-lived certificates for clients, signed by a CA of ours or by one that is supplied. */
export const x509Kind: IssuerKind<X509Settings, X509Params> = {
  kind: "x509",
  settings: X509Settings,
  params: x509Params,
  revocation: ({ list_read_every: every }) => (every === undefined ? "expiry_only" : "verifier_checked"),
  rotates: ({ ca }) => ca.certificate === undefined,
  open: openX509,
};

function openX509(target: OpenTarget<X509Settings>, ports: TargetPorts): Issuer<X509Params> {
  const { settings } = target;
  // now, while the policy is loaded, and not during the first request
  library();
  const authorities = new Authorities(target, ports);
  const lists = openLists(authorities, ports.revoked, ports.clock, settings.list_valid);
  const readEvery = settings.list_read_every;
  return {
    kind: "x509",
    params: x509Params(settings),
    options: Options,
    // a SPIFFE ID with a placeholder is known once the lease is: `issue` looks again
    refuses: (params, options) => refusal(params, options, (uri) => uri === params.spiffe_id || params.spiffe_id?.includes("{") === true),
    maxTtlMs: DAY_MS,
    revocation: x509Kind.revocation(settings),
    checkedWithinMs: readEvery === undefined ? undefined : readEvery + READ_EVERY_MS,
    // signing only computes, but what is revoked must be written where others read it
    computesOnly: false,
    bearer: false,
    externalName: serialOf,
    issue: (order, signal) => issue(order, signal, target, ports, authorities),
    async revoke({ leaseId, expiresAt }) {
      // over for every clock that is right to half a minute: a list need not name it
      if (ports.clock() > expiresAt + SKEW_MS) return "already_gone";
      // stays on one list more than its certificate lives (RFC 5280 section 3.3), for readers that missed one
      const how = await ports.revoked.add(serialOf(leaseId), expiresAt + settings.list_valid);
      lists.forget();
      return how;
    },
    documents: publishedDocuments(authorities, lists, settings.trust_domain),
    ...(settings.ca.certificate === undefined && { rotate: () => authorities.rotate() }),
    examine: () => examine(authorities, ports.clock()),
  };
}

async function issue(
  order: IssueOrder<X509Params>,
  signal: AbortSignal,
  { name, settings }: OpenTarget<X509Settings>,
  ports: TargetPorts,
  authorities: Authorities,
): Promise<Issued> {
  const { params } = order;
  const spiffeId = spiffeIdOf(order);
  const refused = refusal(params, order.options, (uri) => uri === spiffeId);
  if (refused !== undefined) throw new StintError("invalid_request", refused);
  const asked = (order.options as X509Options).csr;
  const made = asked === undefined ? await makeKey() : undefined;
  const authority = await authorities.current();
  const serial = serialOf(order.leaseId);
  const now = ports.clock();
  // whole seconds, rounded down: never later than the lease, never later than who signs
  const notAfter = toSeconds(Math.min(order.expiresAt, authority.notAfter)) * 1000;
  const leaf = await leafCertificate(authority, {
    serial,
    spki: asked?.spki ?? made?.publicKey ?? Buffer.alloc(0),
    notBefore: now - SKEW_MS,
    notAfter,
    spiffeId,
    dnsNames: params.dns_names,
    commonName: params.common_name,
    serverAuth: settings.server_auth,
    crl: `${ports.broker}/targets/${name}/crl-${slotOf(authority)}`,
  });
  signal.throwIfAborted();
  return {
    credential: {
      type: "x509_certificate",
      member: "certificate",
      token: new Secret(toPem("CERTIFICATE", leaf) + authority.chain),
      ...(made !== undefined && { secrets: { private_key: new Secret(made.privateKey) } }),
      facts: {
        ca: (await authorities.alive()).flatMap((each) => each.certificates).join(""),
        serial,
        ...(spiffeId !== undefined && { spiffe_id: spiffeId }),
        ...(params.dns_names.length > 0 && { dns_names: params.dns_names }),
        not_after: toRfc3339(notAfter),
      },
    },
  };
}

const generate = promisify(generateKeyPair);
/** On a thread of the pool. P-256: everybody takes it, and it costs the least. */
const makeKey = (): Promise<{ readonly publicKey: Buffer; readonly privateKey: string }> =>
  generate("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "der" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });

function spiffeIdOf({ params, subject, trust, grant, taskId }: IssueOrder<X509Params>): string | undefined {
  if (params.spiffe_id === undefined) return undefined;
  const id = renderSpiffeId(params.spiffe_id, { id: subject.slice(trust.length + 1), trust, grant, task: taskId });
  if (id === undefined)
    throw new PermanentFailure("the workload's id holds what no segment of a SPIFFE ID may: the grant cannot use {id} for it");
  return id;
}

/**
 * What stands against a request under a grant's settings: the grant wants a key of the other kind, or the request wishes for names
 * that the grant does not give. `isOurs` says whether a URI is the SPIFFE ID that would be certified.
 */
function refusal(params: X509Params, options: Readonly<Record<string, unknown>>, isOurs: (uri: string) => boolean): string | undefined {
  const { csr } = options as X509Options;
  if (csr === undefined)
    return params.key === "ask" ? "this grant certifies keys of the asker only: send a certificate request as the option `csr`" : undefined;
  if (params.key === "make") return "this grant makes the key itself: leave the option `csr` out";
  const isGiven = (name: string): boolean =>
    name.startsWith("URI:") ? isOurs(name.slice(4)) : params.dns_names.some((dns) => name === `DNS:${dns}`);
  return csr.names.every(isGiven)
    ? undefined
    : "the certificate request wishes for names that this grant does not give: leave its subjectAltName out";
}

async function examine(authorities: Authorities, now: number): Promise<TargetFacts> {
  const current = await authorities.current();
  const newest = (await authorities.alive()).at(-1) ?? current;
  const ends = newest.notAfter - now < WARN_MS;
  return {
    server: `X.509 CA until ${toRfc3339(current.notAfter)}`,
    passwordChangedAt: newest.createdAt,
    warnings: ends ? [`the CA ends ${toRfc3339(newest.notAfter)}: rotate it, or supply another, before it does`] : [],
  };
}
