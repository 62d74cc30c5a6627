import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { webcrypto } from "node:crypto";
import { toPem } from "../../issuers/x509/pem.ts";

const EC = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const DAY_MS = 86_400_000;

/** A CA beneath a root, as somebody else's tools hand them over. */
export interface SuppliedCa {
  /** The CA's certificate, then the root's; PEM. */
  readonly certificate: string;
  /** The CA's key; PEM. */
  readonly key: string;
  readonly root: string;
  /** The root's own list of revoked certificates, empty; PEM. */
  readonly list: string;
}

/** Made by the generator of the library. `wrong`: what the CA's certificate lacks; `algorithm`: of the CA's key. */
export async function suppliedCa(
  now: number,
  wrong: { readonly ca?: false; readonly usages?: x509.KeyUsageFlags; readonly algorithm?: KeyAlgorithm } = {},
): Promise<SuppliedCa> {
  const [rootKeys, keys] = [await pair(EC), await pair(wrong.algorithm ?? EC)];
  const times = { notBefore: new Date(now - DAY_MS), notAfter: new Date(now + 30 * DAY_MS), signingAlgorithm: EC };
  const signs = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    ...times,
    name: "CN=Acme Root, O=Acme",
    keys: rootKeys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(signs, true),
      await x509.SubjectKeyIdentifierExtension.create(rootKeys.publicKey),
    ],
  });
  const ca = await x509.X509CertificateGenerator.create({
    ...times,
    subject: "CN=Acme Clients, O=Acme",
    issuer: root.subject,
    publicKey: keys.publicKey,
    signingKey: rootKeys.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(wrong.ca ?? true, undefined, true),
      new x509.KeyUsagesExtension(wrong.usages ?? signs, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(rootKeys.publicKey),
    ],
  });
  const list = await x509.X509CrlGenerator.create({
    issuer: root.subject,
    thisUpdate: new Date(now - 60_000),
    nextUpdate: new Date(now + DAY_MS),
    signingAlgorithm: EC,
    signingKey: rootKeys.privateKey,
  });
  const pem = (each: x509.X509Certificate): string => `${each.toString("pem")}\n`;
  return {
    certificate: pem(ca) + pem(root),
    key: toPem("PRIVATE KEY", new Uint8Array(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey))),
    root: pem(root),
    // the library's own PEM says `CRL`, which nobody reads
    list: toPem("X509 CRL", new Uint8Array(list.rawData)),
  };
}

/** What WebCrypto is told to make a pair of keys. */
export type KeyAlgorithm = Parameters<typeof webcrypto.subtle.generateKey>[0];
async function pair(algorithm: KeyAlgorithm): Promise<webcrypto.CryptoKeyPair> {
  const made = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  if (!("privateKey" in made)) throw new Error("not an algorithm of key pairs");
  return made;
}
