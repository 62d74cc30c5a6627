import { createPrivateKey, randomBytes, X509Certificate, type KeyObject } from "node:crypto";
import type { Name, X509Certificate as Certificate } from "@peculiar/x509";
import { z } from "zod";
import { PermanentFailure } from "../../domain/credential.ts";
import { distinguishedName, rootCertificate, type Signer } from "./certificate.ts";
import { keyIdentifier, signingKey, spkiOf, weakKey } from "./keys.ts";
import { library } from "./library.ts";
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
  const name = distinguishedName({
    O: facts.owner.slice(0, 64),
    CN: `${facts.name.slice(0, 55)} ${identifier.toString("hex").slice(0, 8)}`,
  });
  const certificate = await rootCertificate(
    { name, identifier, signing: await signingKey(key) },
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
export async function suppliedAuthority(certificate: string, key: string): Promise<Pick<AuthorityRecord, "certificates" | "key">> {
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
  await openAuthority({ ...record, generation: 1, createdAt: 0, activeAt: 0 });
  return record;
}

/** Parses a CA once and for all. `PermanentFailure` where it could not sign what verifiers accept. */
export async function openAuthority(record: AuthorityRecord): Promise<Authority> {
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
    signing: await signingKey(key),
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
  /** The subject: what a leaf must say as its issuer. */
  readonly name: Name;
  readonly identifier: Buffer | undefined;
  readonly wrong: string | undefined;
}

/** What `node:crypto` does not tell of a CA's certificate. */
function factsOf(der: Buffer): CertificateFacts {
  const { x509 } = library();
  try {
    const certificate = new x509.X509Certificate(der);
    const name = certificate.subjectName;
    const keyId = certificate.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;
    return {
      name,
      identifier: keyId === undefined ? undefined : Buffer.from(keyId, "hex"),
      wrong: der.includes(Buffer.from(name.toArrayBuffer()))
        ? wrongCa(certificate)
        : "its name is not in DER, so verifiers would not find it again in what it signs",
    };
  } catch {
    throw new PermanentFailure("the CA cannot be used: its certificate cannot be read");
  }
}

/** A CA without `keyUsage` may do everything (RFC 5280 section 4.2.1.3). */
function wrongCa(certificate: Certificate): string | undefined {
  const { x509 } = library();
  if (certificate.getExtension(x509.BasicConstraintsExtension)?.ca !== true)
    return "its certificate is none of a CA (`basicConstraints` without CA:TRUE)";
  const signs = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  const usages = certificate.getExtension(x509.KeyUsagesExtension)?.usages ?? signs;
  return (usages & signs) === signs ? undefined : "its key usage must allow keyCertSign and cRLSign";
}
