import { createPublicKey, verify, type KeyObject } from "node:crypto";
import { bitsOf, extensionsOf, membersOf, NotDer, oidOf, readOne, saysCa, type Element } from "./der-read.ts";
import { spkiOf, weakKey } from "./keys.ts";
import { OID, SIGNATURES } from "./oids.ts";
import { fromPem } from "./pem.ts";

/** A certificate request, checked: its sender holds the key. */
export interface CertificateRequest {
  /** SubjectPublicKeyInfo, written anew. */
  readonly spki: Buffer;
  /** Names it asks for, as `URI:...` and `DNS:...`; other kinds as `other`. */
  readonly names: readonly string[];
}

/** Why a request is refused. The message is for its sender. */
export class BadRequest extends Error {
  override readonly name: string = "BadRequest";
}

/** Characters of PEM: an RSA key of 4096 bits with some names takes a quarter. */
export const MAX_REQUEST = 8192;

/**
 * Reads a PKCS#10 request (RFC 2986). Its signature proves that the sender holds the key, and the key is all that is taken from
 * it; the subject and wishes for other extensions count for nothing. It is refused when it wishes to be a CA. Throws `BadRequest`.
 */
export function readRequest(pem: string): CertificateRequest {
  if (pem.length > MAX_REQUEST) throw new BadRequest(`is longer than ${MAX_REQUEST} characters`);
  const [der, ...more] = fromPem(pem, "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST") ?? [];
  if (der === undefined || more.length > 0) throw new BadRequest("must be one PEM block, `-----BEGIN CERTIFICATE REQUEST-----`");
  try {
    return readDer(der);
  } catch (error) {
    if (error instanceof NotDer) throw new BadRequest(`is no PKCS#10 request in DER: it ${error.message}`);
    throw error;
  }
}

function readDer(der: Buffer): CertificateRequest {
  const [info, algorithm, signature, ...more] = membersOf(readOne(der), 0x30);
  const [version, subject, spki, attributes, ...rest] = membersOf(info, 0x30);
  if (more.length > 0 || rest.length > 0 || version?.tag !== 0x02 || !version.content.equals(Buffer.from([0])) || subject?.tag !== 0x30)
    throw new NotDer("is not of the expected shape");
  const key = publicKeyOf(spki);
  const weak = weakKey(key);
  if (weak !== undefined) throw new BadRequest(`asks for a key that is refused: ${weak}`);
  if (!proves(info, algorithm, bitsOf(signature), key))
    throw new BadRequest("is not signed by the key it asks for: make it with the private key that will use the certificate");
  const wished = extensionsWished(attributes);
  if (saysCa(wished.get(OID.basicConstraints))) throw new BadRequest("asks to be a CA (`basicConstraints` with CA:TRUE): leave that out");
  return { spki: spkiOf(key), names: namesOf(wished.get(OID.subjectAltName)) };
}

function publicKeyOf(spki: Element | undefined): KeyObject {
  try {
    return createPublicKey({ key: spki?.whole ?? Buffer.alloc(0), format: "der", type: "spki" });
  } catch {
    throw new BadRequest("asks for a key that cannot be read");
  }
}

/** Whether the signature over these very bytes is the key's. */
function proves(info: Element | undefined, algorithm: Element | undefined, signature: Buffer, key: KeyObject): boolean {
  const id = oidOf(membersOf(algorithm, 0x30)[0]);
  const known = Object.entries(SIGNATURES).find(([name]) => name === id)?.[1];
  if (known === undefined || known.key !== key.asymmetricKeyType || info === undefined) return false;
  try {
    return verify(known.hash, info.whole, key, signature);
  } catch {
    return false; // a signature that is none
  }
}

/** The extensions of the one `extensionRequest`. An attribute that is there twice could be read in two ways. */
function extensionsWished(attributes: Element | undefined): ReadonlyMap<string, Buffer> {
  if (attributes === undefined) return new Map();
  const seen = new Set<string>();
  let wished: ReadonlyMap<string, Buffer> = new Map();
  for (const attribute of membersOf(attributes, 0xa0)) {
    const [id, values, ...more] = membersOf(attribute, 0x30);
    const name = oidOf(id);
    if (seen.has(name) || more.length > 0) throw new NotDer("has an attribute twice");
    seen.add(name);
    const [value, ...others] = membersOf(values, 0x31);
    if (name !== OID.extensionRequest) continue;
    if (others.length > 0) throw new NotDer("has an attribute twice");
    wished = extensionsOf(value);
  }
  return wished;
}

function namesOf(value: Buffer | undefined): readonly string[] {
  if (value === undefined) return [];
  return membersOf(readOne(value), 0x30).map(({ tag, content }) => {
    if (tag === 0x86) return `URI:${content.toString("latin1")}`;
    return tag === 0x82 ? `DNS:${content.toString("latin1")}` : "other";
  });
}
