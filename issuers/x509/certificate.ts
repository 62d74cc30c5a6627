import type { Extension, Name } from "@peculiar/x509";
import { keyIdentifier, type SigningKey } from "./keys.ts";
import { library } from "./library.ts";

/** Whoever signs: its name as its own certificate writes it, its key identifier, its key. */
export interface Signer {
  readonly name: Name;
  readonly identifier: Buffer;
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

/** The extensions that are the same in every leaf: written once. */
let same: { readonly noCa: Extension; readonly usage: Extension; readonly client: Extension; readonly server: Extension } | undefined;
function sameInAll(): NonNullable<typeof same> {
  const { x509 } = library();
  const { clientAuth, serverAuth } = x509.ExtendedKeyUsage;
  same ??= {
    noCa: new x509.BasicConstraintsExtension(false, undefined, true),
    usage: new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    client: new x509.ExtendedKeyUsageExtension([clientAuth]),
    server: new x509.ExtendedKeyUsageExtension([clientAuth, serverAuth]),
  };
  return same;
}

/** A leaf's certificate in DER (RFC 5280, X509-SVID section 3): it signs nothing but its own handshakes. */
export async function leafCertificate(signer: Signer, facts: LeafFacts): Promise<Buffer> {
  const { x509 } = library();
  const { noCa, usage, client, server } = sameInAll();
  const { commonName } = facts;
  return signed(signer, facts, commonName === undefined ? undefined : distinguishedName({ CN: commonName }), [
    noCa,
    usage,
    facts.serverAuth ? server : client,
    new x509.SubjectKeyIdentifierExtension(keyIdentifier(facts.spki).toString("hex")),
    new x509.AuthorityKeyIdentifierExtension(signer.identifier.toString("hex")),
    ...alternativeNames(facts),
    new x509.CRLDistributionPointsExtension([facts.crl]),
  ]);
}

/** A CA that signed itself: it signs leaves and lists, and no other CA. */
export async function rootCertificate(
  signer: Signer,
  facts: { readonly serial: string; readonly spki: Uint8Array; readonly notBefore: number; readonly notAfter: number },
): Promise<Buffer> {
  const { x509 } = library();
  return signed(signer, facts, signer.name, [
    new x509.BasicConstraintsExtension(true, 0, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    new x509.SubjectKeyIdentifierExtension(signer.identifier.toString("hex")),
  ]);
}

/** A name of one value per attribute, in UTF-8. From values, never from text that would be taken apart. */
export const distinguishedName = (attributes: Readonly<Record<string, string>>): Name =>
  new (library().x509.Name)(Object.entries(attributes).map(([id, value]) => ({ [id]: [{ utf8String: value }] })));

/** Critical where the subject is empty, since then nothing else names the holder (RFC 5280 section 4.2.1.6). */
function alternativeNames({ spiffeId, dnsNames, commonName }: LeafFacts): readonly Extension[] {
  const names = [
    ...(spiffeId === undefined ? [] : [{ type: "url", value: spiffeId } as const]),
    ...dnsNames.map((value) => ({ type: "dns", value }) as const),
  ];
  return names.length === 0 ? [] : [new (library().x509.SubjectAlternativeNameExtension)(names, commonName === undefined)];
}

async function signed(
  { signing, name }: Signer,
  facts: Pick<LeafFacts, "serial" | "spki" | "notBefore" | "notAfter">,
  subject: Name | undefined,
  extensions: readonly Extension[],
): Promise<Buffer> {
  const certificate = await library().x509.X509CertificateGenerator.create({
    serialNumber: facts.serial,
    issuer: name,
    ...(subject !== undefined && { subject }),
    notBefore: new Date(facts.notBefore),
    notAfter: new Date(facts.notAfter),
    publicKey: facts.spki,
    signingKey: signing.cryptoKey,
    signingAlgorithm: signing.algorithm,
    extensions: [...extensions],
  });
  return Buffer.from(certificate.rawData);
}
