import { randomBytes } from "node:crypto";
import {
  PermanentFailure,
  type Credential,
  type Issued,
  type IssueOrder,
  type Issuer,
  type RevokeOrder,
  type TargetFacts,
} from "../../domain/credential.ts";
import { Secret } from "../../domain/secret.ts";
import type { IssuerKind, OpenTarget, TargetPorts } from "../../domain/target.ts";
import { SKEW_MS, toRfc3339, toSeconds } from "../../domain/time.ts";
import { sshSerial } from "../naming.ts";
import { keptAuthority, suppliedAuthority, type AuthoritySource } from "./authority.ts";
import { signCertificate } from "./certificate.ts";
import { sshDocuments } from "./documents.ts";
import { keyIdFor } from "./key-id.ts";
import { makeKeyPair } from "./private-key.ts";
import { refusalOfOptions, SshOptions, SshParams, SshSettings } from "./settings.ts";

const DAY_MS = 86_400_000;
const DEFAULT_ANNOUNCE_MS = DAY_MS;
/** A revoked serial stays listed this much longer than its certificate lives: a host whose clock is behind still refuses it. */
const LISTED_AFTER_END_MS = 300_000;

/** OpenSSH user certificates: a line of the catalog. */
export const sshKind: IssuerKind<SshSettings, SshParams> = {
  kind: "ssh",
  settings: SshSettings,
  params: () => SshParams,
  revocation: ({ list_read_every: every }) => (every === undefined ? "expiry_only" : "verifier_checked"),
  rotates: ({ ca }) => ca.key === undefined,
  open: sshIssuer,
};

/**
 * Signs OpenSSH user certificates. A signature cannot be taken back, so its serial follows from the lease and revoking lists that:
 * a certificate signed late is refused as the first one is, by every host that reads the list.
 */
function sshIssuer({ name, settings }: OpenTarget<SshSettings>, ports: TargetPorts): Issuer<SshParams> {
  const source = authorityOf(settings, ports);
  const { list_read_every: checkedWithinMs } = settings;
  return {
    kind: "ssh",
    params: SshParams,
    options: SshOptions,
    refuses: (params, options) => refusalOfOptions(params, options),
    maxTtlMs: DAY_MS,
    revocation: sshKind.revocation(settings),
    checkedWithinMs,
    computesOnly: false,
    bearer: false,
    externalName: (lease) => sshSerial(lease).toString(),
    issue: (order, signal) => issue(order, signal, settings, source, ports),
    revoke: (order) => revoke(order, ports),
    documents: sshDocuments({ target: name, distrust: settings.ca.distrust, source, ports }),
    ...(source.rotate !== undefined && { rotate: () => source.rotate?.() ?? Promise.resolve() }),
    examine: () => examine(settings, source),
  };
}

function authorityOf({ ca }: SshSettings, ports: TargetPorts): AuthoritySource {
  const { key, also = [], announce: announceMs = DEFAULT_ANNOUNCE_MS, distrust } = ca;
  if (key !== undefined) return suppliedAuthority(ports, { key, also, distrust });
  return keptAuthority(ports, { announceMs, longestMs: DAY_MS + LISTED_AFTER_END_MS, distrust });
}

async function issue(
  order: IssueOrder<SshParams>,
  signal: AbortSignal,
  settings: SshSettings,
  source: AuthoritySource,
  ports: TargetPorts,
): Promise<Issued> {
  const { params } = order;
  const asked: SshOptions = order.options; // parsed by our `options`
  const refusal = refusalOfOptions(params, asked);
  if (refusal !== undefined) throw new PermanentFailure(refusal);
  const { signer } = await source.now();
  if (signer === undefined) throw new PermanentFailure("this target's only CA is one that it distrusts: supply another `ca.key`");
  signal.throwIfAborted();
  const { publicKey, privateKey } =
    asked.public_key === undefined ? makeKeyPair(order.leaseId) : { publicKey: asked.public_key, privateKey: undefined };
  const principals = asked.principals ?? params.principals;
  const keyId = keyIdFor(ports.broker, order);
  const validBefore = toSeconds(order.expiresAt);
  const serial = sshSerial(order.leaseId);
  const certificate = signCertificate(
    {
      publicKey,
      serial,
      keyId,
      principals,
      validAfter: Math.max(0, toSeconds(order.issuedAt - SKEW_MS)),
      validBefore,
      criticalOptions: {
        ...(params.force_command !== undefined && { "force-command": params.force_command }),
        ...(params.source_address !== undefined && { "source-address": params.source_address.join(",") }),
      },
      extensions: { ...params.custom_extensions, ...Object.fromEntries(params.extensions.map((flag) => [flag, ""])) },
      nonce: randomBytes(32),
    },
    signer,
  );
  const credential: Credential = {
    type: "ssh_certificate",
    member: "certificate",
    token: new Secret(`${certificate} ${order.leaseId}`),
    ...(privateKey !== undefined && { secrets: { private_key: new Secret(privateKey) } }),
    facts: {
      key_id: keyId,
      serial: serial.toString(),
      principals,
      valid_until: toRfc3339(validBefore * 1000),
      ...placeOf(settings),
    },
  };
  return { credential };
}

/** Where the workload connects to, as far as the Target says it. */
function placeOf({ host, port, user, known_hosts: knownHosts }: SshSettings): Credential["facts"] {
  return {
    ...(host !== undefined && { host }),
    ...(port !== undefined && { port }),
    ...(user !== undefined && { user }),
    ...(knownHosts !== undefined && { known_hosts: knownHosts }),
  };
}

/** A certificate that has ended by itself needs no listing, nor does one that is signed late and was over before. */
async function revoke({ leaseId, expiresAt }: RevokeOrder, { revoked, clock }: TargetPorts): Promise<"revoked" | "already_gone"> {
  if (expiresAt <= clock()) return "already_gone";
  return revoked.add(sshSerial(leaseId).toString(), expiresAt + LISTED_AFTER_END_MS);
}

async function examine(settings: SshSettings, source: AuthoritySource): Promise<TargetFacts> {
  const { signer, since, nextFrom } = await source.now();
  const warnings: string[] = [];
  if (settings.list_read_every === undefined)
    warnings.push("list_read_every is not set: nobody says that hosts read the revocation list, so certificates die by their own end only");
  if (nextFrom !== undefined)
    warnings.push(`the next CA signs from ${toRfc3339(nextFrom)} on; until then every host must have read ca.pub`);
  if (signer === undefined) return { warnings: ["the only CA of this target is distrusted: nothing can be issued", ...warnings] };
  return { server: `OpenSSH CA ${signer.publicKey.type} ${signer.fingerprint}`, passwordChangedAt: since, warnings };
}
