import { bits, criticalExtension, der, extension, flags, ia5, integer, octets, oid, sequence, set, time, TRUE, utf8 } from "./der.ts";
import { algorithmOf, keyIdentifier, signBytes, type SigningKey } from "./keys.ts";
import { OID } from "./oids.ts";

/** Whoever signs: its name as its own certificate writes it, its key identifier, its key. */
export interface Signer {
  readonly name: Uint8Array;
  readonly identifier: Uint8Array;
  readonly signing: SigningKey;
}

/** What a leaf says. Times are milliseconds; the end is rounded down to seconds, never up. */
export interface LeafFacts {
  readonly serial: string;
  readonly spki: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly spiffeId: string | undefined;
  readonly dnsNames: readonly string[];
  readonly commonName: string | undefined;
  readonly serverAuth: boolean;
  /** Where the list of its CA's revoked certificates is. */
  readonly crl: string;
}

// The same in every leaf.
const NO_CA = criticalExtension(OID.basicConstraints, sequence());
const DIGITAL_SIGNATURE = criticalExtension(OID.keyUsage, flags(0x80, 7));
const CLIENT = extension(OID.extKeyUsage, sequence(oid(OID.clientAuth)));
const CLIENT_AND_SERVER = extension(OID.extKeyUsage, sequence(oid(OID.clientAuth), oid(OID.serverAuth)));
/** keyCertSign and cRLSign. */
const SIGNS = criticalExtension(OID.keyUsage, flags(0x06, 1));
/** `cA` with a path length of 0: it signs leaves only. */
const SIGNS_LEAVES = criticalExtension(OID.basicConstraints, sequence(TRUE, integer(0n)));
const VERSION_3 = der(0xa0, integer(2n));

/** A leaf's certificate in DER (RFC 5280, X509-SVID section 3): it signs nothing but its own handshakes. */
export async function leafCertificate(signer: Signer, facts: LeafFacts): Promise<Buffer> {
  const subject = facts.commonName === undefined ? sequence() : distinguishedName([[OID.commonName, facts.commonName]]);
  return signed(signer, facts, subject, [
    NO_CA,
    DIGITAL_SIGNATURE,
    facts.serverAuth ? CLIENT_AND_SERVER : CLIENT,
    extension(OID.subjectKeyIdentifier, octets(keyIdentifier(facts.spki))),
    authorityKeyIdentifier(signer.identifier),
    ...alternativeNames(facts),
    extension(OID.crlDistributionPoints, sequence(sequence(der(0xa0, der(0xa0, ia5(0x86, facts.crl)))))),
  ]);
}

/** A CA that signed itself. */
export async function rootCertificate(
  signer: Signer,
  facts: { readonly serial: string; readonly spki: Uint8Array; readonly notBefore: number; readonly notAfter: number },
): Promise<Buffer> {
  return signed(signer, facts, signer.name, [SIGNS_LEAVES, SIGNS, extension(OID.subjectKeyIdentifier, octets(signer.identifier))]);
}

/** The text's own encoding as name, one attribute each, in UTF-8. */
export const distinguishedName = (attributes: readonly (readonly [id: string, value: string])[]): Buffer =>
  sequence(...attributes.map(([id, value]) => set(sequence(oid(id), utf8(value)))));

export const authorityKeyIdentifier = (identifier: Uint8Array): Buffer =>
  extension(OID.authorityKeyIdentifier, sequence(der(0x80, identifier)));

/** Critical where the subject is empty, since then nothing else names the holder (RFC 5280 section 4.2.1.6). */
function alternativeNames({ spiffeId, dnsNames, commonName }: LeafFacts): readonly Buffer[] {
  const names = [...(spiffeId === undefined ? [] : [ia5(0x86, spiffeId)]), ...dnsNames.map((name) => ia5(0x82, name))];
  if (names.length === 0) return [];
  return [(commonName === undefined ? criticalExtension : extension)(OID.subjectAltName, sequence(...names))];
}

async function signed(
  { signing, name }: Signer,
  facts: Pick<LeafFacts, "serial" | "spki" | "notBefore" | "notAfter">,
  subject: Uint8Array,
  extensions: readonly Uint8Array[],
): Promise<Buffer> {
  const algorithm = algorithmOf(signing);
  const body = sequence(
    VERSION_3,
    integer(BigInt(`0x${facts.serial}`)),
    algorithm,
    name,
    sequence(time(facts.notBefore), time(facts.notAfter)),
    subject,
    facts.spki,
    der(0xa3, sequence(...extensions)),
  );
  return sequence(body, algorithm, bits(await signBytes(signing, body)));
}
