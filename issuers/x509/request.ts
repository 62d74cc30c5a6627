import { createPublicKey, verify, type KeyObject } from "node:crypto";
import type { CertificationRequest } from "@peculiar/asn1-csr";
import type { Attribute, Extension } from "@peculiar/asn1-x509";
import { hashFor, spkiOf, weakKey } from "./keys.ts";
import { library } from "./library.ts";
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
/** The attribute that holds wishes for extensions (RFC 2985 section 5.4.2). */
const EXTENSION_REQUEST = "1.2.840.113549.1.9.14";
/** What a reader of 8 KiB may come across, far above every true request. */
const LIMITS = { berOptions: { maxDepth: 24, maxNodes: 1500, maxContentLength: MAX_REQUEST } };

/**
 * Reads a PKCS#10 request (RFC 2986). Its signature proves that the sender holds the key, and the key is all that is taken from
 * it; the subject and wishes for other extensions count for nothing. It is refused when it wishes to be a CA. Throws `BadRequest`.
 */
export function readRequest(pem: string): CertificateRequest {
  if (pem.length > MAX_REQUEST) throw new BadRequest(`is longer than ${MAX_REQUEST} characters`);
  const [der, ...more] = fromPem(pem, "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST") ?? [];
  if (der === undefined || more.length > 0) throw new BadRequest("must be one PEM block, `-----BEGIN CERTIFICATE REQUEST-----`");
  const { asn1, csr } = library();
  const request = exactly(der, csr.CertificationRequest);
  const { version, subjectPKInfo, attributes } = request.certificationRequestInfo;
  if (version !== 0) throw notDer("is of another version than 1");
  const key = publicKeyOf(subjectPKInfo);
  const weak = weakKey(key);
  if (weak !== undefined) throw new BadRequest(`asks for a key that is refused: ${weak}`);
  if (!proves(request, key))
    throw new BadRequest("is not signed by the key it asks for: make it with the private key that will use the certificate");
  const wished = extensionsWished(attributes);
  if (saysCa(wished.get(asn1.id_ce_basicConstraints)))
    throw new BadRequest("asks to be a CA (`basicConstraints` with CA:TRUE): leave that out");
  return { spki: spkiOf(key), names: namesOf(wished.get(asn1.id_ce_subjectAltName)) };
}

const notDer = (why: string): BadRequest => new BadRequest(`is no PKCS#10 request in DER: it ${why}`);

/**
 * What the library reads in these bytes, provided that it would write these very bytes for it. The library takes more than DER; what
 * another reader might understand otherwise is refused, so that two readers never disagree.
 */
function exactly<T>(bytes: Uint8Array, type: new () => T): T {
  const { schema } = library();
  let read: T;
  let again: ArrayBuffer;
  try {
    read = schema.AsnConvert.parse(bytes, type, LIMITS);
    again = schema.AsnConvert.serialize(read);
  } catch {
    throw notDer("is not of the expected shape");
  }
  if (!Buffer.from(again).equals(bytes)) throw notDer("could be written otherwise, or holds more");
  return read;
}

function publicKeyOf(spki: CertificationRequest["certificationRequestInfo"]["subjectPKInfo"]): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(library().schema.AsnConvert.serialize(spki)), format: "der", type: "spki" });
  } catch {
    throw new BadRequest("asks for a key that cannot be read");
  }
}

/** An algorithm in WebCrypto's words, as the library tells it. */
interface NamedAlgorithm {
  readonly name: string;
  readonly hash?: { readonly name: string };
}

/** Whether the signature over these very bytes is the key's. */
function proves({ certificationRequestInfoRaw, signatureAlgorithm, signature }: CertificationRequest, key: KeyObject): boolean {
  if (certificationRequestInfoRaw === undefined) return false;
  try {
    const { name, hash: of } = new (library().x509.AlgorithmProvider)().toWebAlgorithm(signatureAlgorithm) as NamedAlgorithm;
    const hash = hashFor(key, { name, ...(of !== undefined && { hash: of.name }) });
    return hash !== null && verify(hash, Buffer.from(certificationRequestInfoRaw), key, Buffer.from(signature));
  } catch {
    return false; // an algorithm that nobody knows, a signature that is none
  }
}

/** The extensions of the one `extensionRequest`. What is there twice could be read in two ways. */
function extensionsWished(attributes: readonly Attribute[]): ReadonlyMap<string, Extension> {
  const { asn1 } = library();
  if (new Set(attributes.map(({ type }) => type)).size < attributes.length) throw notDer("has an attribute twice");
  const wish = attributes.find(({ type }) => type === EXTENSION_REQUEST);
  if (wish === undefined) return new Map();
  const [value, ...others] = wish.values;
  if (value === undefined || others.length > 0) throw notDer("has an attribute twice");
  const extensions = exactly(new Uint8Array(value), asn1.Extensions);
  const wished = new Map(extensions.map((each) => [each.extnID, each]));
  if (wished.size < extensions.length) throw notDer("has an extension twice");
  return wished;
}

/** An explicit FALSE is not DER, but says what it says: this is read as it comes. */
function saysCa(wish: Extension | undefined): boolean {
  if (wish === undefined) return false;
  const { asn1, schema } = library();
  try {
    return schema.AsnConvert.parse(wish.extnValue.buffer, asn1.BasicConstraints, LIMITS).cA;
  } catch {
    throw notDer("is not of the expected shape");
  }
}

function namesOf(wish: Extension | undefined): readonly string[] {
  if (wish === undefined) return [];
  return exactly(new Uint8Array(wish.extnValue.buffer), library().asn1.SubjectAlternativeName).map((name) => {
    if (name.uniformResourceIdentifier !== undefined) return `URI:${name.uniformResourceIdentifier}`;
    return name.dNSName === undefined ? "other" : `DNS:${name.dNSName}`;
  });
}
