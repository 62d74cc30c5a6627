import { createPrivateKey, randomBytes, X509Certificate, type KeyObject } from "node:crypto";
import { z } from "zod";
import { PermanentFailure } from "../../domain/credential.ts";
import { distinguishedName, rootCertificate, type Signer } from "./certificate.ts";
import { extensionsOf, membersOf, NotDer, readOne, saysCa, type Element } from "./der-read.ts";
import { keyIdentifier, signingKey, spkiOf, weakKey } from "./keys.ts";
import { OID } from "./oids.ts";
import { fromPem, toPem } from "./pem.ts";

/** A CA as the vault keeps it. Certificates (its own first, then who signed it) and key in base64 of DER. Times are milliseconds. */
export const AuthorityRecord = z.strictObject({
  generation: z.int().positive(),
  certificates: z.array(z.string()).min(1),
  key: z.string(),
  createdAt: z.int(),
  /** From then on it signs. */
  activeAt: z.int(),
});
export type AuthorityRecord = z.output<typeof AuthorityRecord>;

/** A CA ready to sign: everything parsed once. */
export interface Authority extends Signer {
  readonly generation: number;
  readonly createdAt: number;
  readonly activeAt: number;
  readonly notAfter: number;
  /** What goes behind a leaf so that who trusts the root can build the chain: nothing where the CA is the root. */
  readonly chain: string;
  /** Its own certificate and those above it, PEM each. */
  readonly certificates: readonly string[];
  /** Those that are signed by themselves, or the topmost where none is: what a verifier trusts. DER. */
  readonly roots: readonly Buffer[];
}

/** Everything before this was signed by clocks that agree well enough with the verifier's. */
const BACKDATED_MS = 3_600_000;

/** A new root: P-256, named after its key so that two of one Target are never mistaken for each other. */
export async function makeAuthority(
  key: KeyObject,
  facts: { readonly name: string; readonly owner: string; readonly now: number; readonly validityMs: number },
): Promise<Pick<AuthorityRecord, "certificates" | "key">> {
  const spki = spkiOf(key);
  const identifier = keyIdentifier(spki);
  const name = distinguishedName([
    [OID.organization, facts.owner.slice(0, 64)],
    [OID.commonName, `${facts.name.slice(0, 55)} ${identifier.toString("hex").slice(0, 8)}`],
  ]);
  const certificate = await rootCertificate(
    { name, identifier, signing: signingKey(key) },
    {
      serial: `01${randomBytes(16).toString("hex")}`,
      spki,
      notBefore: facts.now - BACKDATED_MS,
      notAfter: facts.now + facts.validityMs,
    },
  );
  return {
    certificates: [certificate.toString("base64")],
    key: key.export({ type: "pkcs8", format: "der" }).toString("base64"),
  };
}

/** A CA that somebody supplies, as PEM files; `PermanentFailure` says what is wrong with them. */
export function suppliedAuthority(certificate: string, key: string): Pick<AuthorityRecord, "certificates" | "key"> {
  const certificates = fromPem(certificate, "CERTIFICATE");
  if (certificates === undefined || certificates.length > 8)
    throw new PermanentFailure(
      "ca.certificate must hold 1 to 8 certificates in PEM and nothing else: the CA's own first, then those above it",
    );
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(key);
  } catch {
    throw new PermanentFailure("ca.key cannot be read as a private key in PEM without a passphrase");
  }
  const record = {
    certificates: certificates.map((each) => each.toString("base64")),
    key: privateKey.export({ type: "pkcs8", format: "der" }).toString("base64"),
  };
  openAuthority({ ...record, generation: 1, createdAt: 0, activeAt: 0 });
  return record;
}

/** Parses a CA once and for all. `PermanentFailure` where it could not sign what verifiers accept. */
export function openAuthority(record: AuthorityRecord): Authority {
  const certificates = record.certificates.map((each) => Buffer.from(each, "base64"));
  const key = createPrivateKey({ key: Buffer.from(record.key, "base64"), format: "der", type: "pkcs8" });
  const own = certificates.map(parsed);
  const [ca] = own;
  const facts = factsOf(certificates[0] ?? Buffer.alloc(0));
  const wrong =
    weakKey(key) ?? (ca?.checkPrivateKey(key) === true ? undefined : "the key is not the one of the certificate") ?? facts.wrong;
  if (wrong !== undefined) throw new PermanentFailure(`the CA cannot be used: ${wrong}`);
  own.slice(1).forEach((above, index) => {
    const below = own[index];
    if (below?.verify(above.publicKey) !== true)
      throw new PermanentFailure(`ca.certificate is out of order: certificate ${index + 2} did not sign certificate ${index + 1}`);
  });
  const selfSigned = own.map((each) => each.verify(each.publicKey));
  const pems = certificates.map((each) => toPem("CERTIFICATE", each));
  const roots = certificates.filter((_, index) => selfSigned[index]);
  return {
    ...record,
    name: facts.name,
    identifier: facts.identifier ?? keyIdentifier(spkiOf(key)),
    signing: signingKey(key),
    notAfter: Math.min(...own.map((each) => Date.parse(each.validTo))),
    chain: pems.filter((_, index) => !(selfSigned[index] ?? false)).join(""),
    certificates: pems,
    roots: roots.length > 0 ? roots : certificates.slice(-1),
  };
}

function parsed(der: Buffer): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch {
    throw new PermanentFailure("ca.certificate holds something that is no certificate");
  }
}

interface CertificateFacts {
  /** The subject, byte for byte: what a leaf must say as its issuer. */
  readonly name: Buffer;
  readonly identifier: Buffer | undefined;
  readonly wrong: string | undefined;
}

/** What `node:crypto` does not tell of a CA's certificate. */
function factsOf(certificate: Buffer): CertificateFacts {
  try {
    const [body] = membersOf(readOne(certificate), 0x30);
    // version, serial, algorithm, issuer, validity, subject, key, then what is tagged
    const fields = membersOf(body, 0x30);
    const extensions = extensionsIn(fields);
    const identifier = extensions.get(OID.subjectKeyIdentifier);
    return {
      name: fields[5]?.whole ?? Buffer.alloc(0),
      identifier: identifier === undefined ? undefined : readOne(identifier).content,
      wrong: !saysCa(extensions.get(OID.basicConstraints))
        ? "its certificate is none of a CA (`basicConstraints` without CA:TRUE)"
        : wrongUsage(extensions.get(OID.keyUsage)),
    };
  } catch (error) {
    if (error instanceof NotDer) throw new PermanentFailure(`the CA cannot be used: its certificate ${error.message}`);
    throw error;
  }
}

const extensionsIn = (fields: readonly Element[]): ReadonlyMap<string, Buffer> => {
  const tagged = fields.find(({ tag }) => tag === 0xa3);
  return tagged === undefined ? new Map() : extensionsOf(readOne(tagged.content));
};

/** keyCertSign is bit 5, cRLSign bit 6; absent means everything (RFC 5280 section 4.2.1.3). */
function wrongUsage(value: Buffer | undefined): string | undefined {
  if (value === undefined) return undefined;
  const usage = readOne(value).content[1] ?? 0;
  return (usage & 0x06) === 0x06 ? undefined : "its key usage must allow keyCertSign and cRLSign";
}
