import { execFile } from "node:child_process";
import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RetryableFailure, type Issuer } from "../../domain/credential.ts";
import { Secret } from "../../domain/secret.ts";
import type { RevokedSerial, TargetPorts } from "../../domain/target.ts";
import { bits, der, extension, ia5, integer, octets, oid, sequence, set } from "../../issuers/x509/der.ts";
import { algorithmOf, signingKey, spkiOf } from "../../issuers/x509/keys.ts";
import { distinguishedName } from "../../issuers/x509/certificate.ts";
import { x509Kind } from "../../issuers/x509/issuer.ts";
import { OID } from "../../issuers/x509/oids.ts";
import { toPem } from "../../issuers/x509/pem.ts";
import type { X509Params } from "../../issuers/x509/settings.ts";

/** What brokers of one store share for a target, in memory. */
export interface SharedTarget {
  readonly vault: Map<string, string>;
  readonly revoked: Map<string, RevokedSerial>;
  readonly secrets: Map<string, string>;
  number: number;
}
export const sharedTarget = (): SharedTarget => ({ vault: new Map(), revoked: new Map(), secrets: new Map(), number: 0 });

export function portsFor(shared: SharedTarget, clock: () => number): TargetPorts {
  return {
    broker: "https://stint.test",
    clock,
    secret: async (reference) => {
      const text = shared.secrets.get(reference);
      if (text === undefined) throw new RetryableFailure(`there is nothing at ${reference}`);
      return new Secret(text);
    },
    vault: {
      read: async (name) => (shared.vault.has(name) ? new Secret(shared.vault.get(name) ?? "") : undefined),
      swap: async (name, before, after) => {
        if (shared.vault.get(name) !== before?.reveal()) return false;
        shared.vault.set(name, after.reveal());
        return true;
      },
    },
    revoked: {
      add: async (serial, expiresAt) => {
        if (shared.revoked.has(serial)) return "already_gone";
        shared.revoked.set(serial, { serial, revokedAt: clock(), expiresAt });
        shared.number += 1;
        return "revoked";
      },
      all: async () => ({ number: shared.number, entries: [...shared.revoked.values()].filter(({ expiresAt }) => expiresAt > clock()) }),
    },
    warn: () => undefined,
  };
}

/** Settings that allow what most tests ask for. */
export const SETTINGS = { trust_domain: "acme.test", domains: ["acme.test"] };

/** The issuer of a Target with these settings. */
export const openX509 = (shared: SharedTarget, clock: () => number, settings: object = SETTINGS): Issuer<X509Params> =>
  x509Kind.open({ name: "mesh", owner: undefined, settings: x509Kind.settings.parse(settings) }, portsFor(shared, clock));

/** A document that an issuer publishes. */
export async function published(issuer: Issuer<X509Params>, name: string): Promise<Buffer> {
  const document = issuer.documents?.[name];
  if (document === undefined) throw new Error(`no document ${name}`);
  return Buffer.from(await document.read());
}

/** A PKCS#10 request, made by hand so that it can be wrong in every way. */
export function requestFor(
  key: KeyObject,
  wish: {
    readonly extensions?: readonly Uint8Array[];
    readonly attributes?: readonly Uint8Array[];
    readonly signer?: KeyObject;
    readonly hash?: string;
    readonly commonName?: string;
    readonly spki?: Uint8Array;
  } = {},
): string {
  const signer = signingKey(wish.signer ?? key);
  const asked = wish.extensions === undefined ? [] : [attribute(OID.extensionRequest, sequence(...wish.extensions))];
  const body = sequence(
    integer(0n),
    wish.commonName === undefined ? sequence() : distinguishedName([[OID.commonName, wish.commonName]]),
    wish.spki ?? spkiOf(key),
    der(0xa0, ...asked, ...(wish.attributes ?? [])),
  );
  const hash = signer.key.asymmetricKeyType === "ed25519" ? undefined : (wish.hash ?? (signer.id.endsWith("4.3.3") ? "sha384" : "sha256"));
  return toPem("CERTIFICATE REQUEST", sequence(body, algorithmOf(signer), bits(sign(hash, body, signer.key))));
}

export const attribute = (id: string, value: Uint8Array): Buffer => sequence(oid(id), set(value));
export const wishNames = (...names: readonly Uint8Array[]): Buffer => extension(OID.subjectAltName, sequence(...names));
export const uri = (text: string): Buffer => ia5(0x86, text);
export const dns = (text: string): Buffer => ia5(0x82, text);
export const wishCa = (): Buffer => extension(OID.basicConstraints, sequence(der(0x01, Buffer.from([0xff]))));
export const wishOther = (id: string): Buffer => sequence(oid(id), octets(sequence()));

export const p256 = (): KeyObject => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;

/** A folder that goes with the test. */
export async function folder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "stint-x509-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** What `openssl` says, both streams; the exit code beside it. Undefined where this machine has none. */
export function openssl(args: readonly string[], cwd: string): Promise<{ readonly code: number; readonly said: string } | undefined> {
  return new Promise((resolve) => {
    execFile("openssl", [...args], { cwd, timeout: 20_000, maxBuffer: 16 * 2 ** 20 }, (error, stdout, stderr) => {
      if (error !== null && "code" in error && error.code === "ENOENT") return resolve(undefined);
      return resolve({ code: error === null ? 0 : 1, said: stdout + stderr });
    });
  });
}
