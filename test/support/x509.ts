import "reflect-metadata";
import { execFile } from "node:child_process";
import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Issuer } from "../../domain/credential.ts";
import type { TargetPorts } from "../../domain/target.ts";
import type { Clock } from "../../domain/time.ts";
import {
  type BaseBlock,
  BitString,
  Boolean as Flag,
  Constructed,
  fromBER,
  Integer,
  ObjectIdentifier,
  OctetString,
  Primitive,
  Sequence,
  Set as Members,
} from "asn1js";
import { AlgorithmProvider, Name } from "@peculiar/x509";
import { AsnConvert } from "@peculiar/asn1-schema";
import type { AlgorithmIdentifier } from "@peculiar/asn1-x509";
import { spkiOf } from "../../issuers/x509/keys.ts";
import { x509Kind } from "../../issuers/x509/issuer.ts";
import { toPem } from "../../issuers/x509/pem.ts";
import type { X509Params } from "../../issuers/x509/settings.ts";
import { targetPorts, type TestPorts } from "./target-ports.ts";

/** Settings that allow what most tests ask for. */
export const SETTINGS = { trust_domain: "acme.test", domains: ["acme.test"] };

/** What brokers of one store share for a target, in memory. */
export const sharedTarget = (clock: Clock): TestPorts => targetPorts(clock, "https://stint.test");

/** The issuer of a Target with these settings. */
export const openX509 = (ports: TargetPorts, settings: object = SETTINGS): Issuer<X509Params> =>
  x509Kind.open({ name: "mesh", owner: undefined, settings: x509Kind.settings.parse(settings) }, ports);

/** A document that an issuer publishes. */
export async function published(issuer: Issuer<X509Params>, name: string): Promise<Buffer> {
  const document = issuer.documents?.[name];
  if (document === undefined) throw new Error(`no document ${name}`);
  return Buffer.from(await document.read());
}

/** A piece of a request. */
export type Piece = Sequence | Primitive;

/** Object identifiers of what requests may wish for. */
export const WISH = {
  extensionRequest: "1.2.840.113549.1.9.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
} as const;

/** A PKCS#10 request, put together piece by piece so that it can be wrong in every way. */
export function requestFor(
  key: KeyObject,
  wish: {
    readonly extensions?: readonly Piece[];
    readonly attributes?: readonly Piece[];
    readonly signer?: KeyObject;
    readonly hash?: string;
    readonly commonName?: string;
    readonly spki?: Uint8Array;
    readonly version?: number;
  } = {},
): string {
  const signer = wish.signer ?? key;
  const asked = wish.extensions === undefined ? [] : [attribute(WISH.extensionRequest, sequence(...wish.extensions))];
  const name = new Name(wish.commonName === undefined ? [] : [{ CN: [wish.commonName] }]);
  const body = sequence(
    new Integer({ value: wish.version ?? 0 }),
    fromBER(name.toArrayBuffer()).result,
    fromBER(wish.spki ?? spkiOf(key)).result,
    new Constructed({ idBlock: { tagClass: 3, tagNumber: 0 }, value: [...asked, ...(wish.attributes ?? [])] }),
  );
  const { hash, algorithm } = algorithmFor(signer);
  const signature = sign(wish.hash ?? hash, Buffer.from(body.toBER()), signer);
  return toPem(
    "CERTIFICATE REQUEST",
    Buffer.from(sequence(body, fromBER(AsnConvert.serialize(algorithm)).result, new BitString({ valueHex: signature })).toBER()),
  );
}
/** As openssl signs with such a key. */
function algorithmFor(key: KeyObject): { readonly hash: string | undefined; readonly algorithm: AlgorithmIdentifier } {
  const named = (algorithm: { readonly name: string; readonly hash?: string }): AlgorithmIdentifier =>
    new AlgorithmProvider().toAsnAlgorithm(algorithm);
  if (key.asymmetricKeyType === "ed25519") return { hash: undefined, algorithm: named({ name: "Ed25519" }) };
  if (key.asymmetricKeyType === "rsa") return { hash: "sha256", algorithm: named({ name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }) };
  return key.asymmetricKeyDetails?.namedCurve === "secp384r1"
    ? { hash: "sha384", algorithm: named({ name: "ECDSA", hash: "SHA-384" }) }
    : { hash: "sha256", algorithm: named({ name: "ECDSA", hash: "SHA-256" }) };
}

export const sequence = (...parts: readonly BaseBlock[]): Sequence => new Sequence({ value: [...parts] as Piece[] });
export const attribute = (id: string, value: Piece): Sequence =>
  sequence(new ObjectIdentifier({ value: id }), new Members({ value: [value] }));
const extension = (id: string, value: Piece): Sequence =>
  sequence(new ObjectIdentifier({ value: id }), new OctetString({ valueHex: value.toBER() }));
const general = (tagNumber: number, value: Uint8Array): Primitive =>
  new Primitive({ idBlock: { tagClass: 3, tagNumber }, valueHex: value });
export const wishNames = (...names: readonly Piece[]): Sequence => extension(WISH.subjectAltName, sequence(...names));
export const uri = (text: string): Primitive => general(6, Buffer.from(text, "latin1"));
export const dns = (text: string): Primitive => general(2, Buffer.from(text, "latin1"));
export const address = (...bytes: readonly number[]): Primitive => general(7, Buffer.from(bytes));
export const wishCa = (ca = true): Sequence => extension(WISH.basicConstraints, sequence(new Flag({ value: ca })));
export const wishRaw = (id: string, value: Uint8Array): Sequence =>
  sequence(new ObjectIdentifier({ value: id }), new OctetString({ valueHex: value }));
export const wishOther = (id: string): Sequence => extension(id, sequence());

export const p256 = (): KeyObject => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;

/** A folder that goes with the test. */
export async function folder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "stint-x509-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** What `openssl` says, both streams; the exit code beside it. Rejects where this machine has none. */
export function openssl(args: readonly string[], cwd: string): Promise<{ readonly code: number; readonly said: string }> {
  return new Promise((resolve, reject) => {
    execFile("openssl", [...args], { cwd, timeout: 20_000, maxBuffer: 16 * 2 ** 20 }, (error, stdout, stderr) => {
      if (error !== null && "code" in error && error.code === "ENOENT") return reject(new Error("there is no openssl on this machine"));
      return resolve({ code: error === null ? 0 : 1, said: stdout + stderr });
    });
  });
}
