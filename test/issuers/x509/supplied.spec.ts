import "reflect-metadata";
import { describe, expect, it } from "@jest/globals";
import * as judge from "@peculiar/x509";
import { X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { orderFor } from "../../contract/issuer-contract.ts";
import { fakeClock } from "../../support/clock.ts";
import { ifPresent } from "../../support/needs.ts";
import { suppliedCa, type SuppliedCa } from "../../support/supplied-ca.ts";
import { folder, openssl, openX509, p256, published, SETTINGS, sharedTarget } from "../../support/x509.ts";

const withOpenssl = ifPresent("openssl");
const GRANT = { spiffe_id: "spiffe://acme.test/ci/deploy" };
const FILES = { ...SETTINGS, ca: { certificate: "file:ca.pem", key: "file:ca.key" } };
const signal = (): AbortSignal => AbortSignal.timeout(5_000);

function start(ca: Partial<SuppliedCa>, now = fakeClock()) {
  const shared = sharedTarget(now);
  const supply = (files: Partial<SuppliedCa>): void => {
    if (files.certificate !== undefined) shared.secrets.set("file:ca.pem", files.certificate);
    if (files.key !== undefined) shared.secrets.set("file:ca.key", files.key);
  };
  supply(ca);
  const issuer = openX509(shared, FILES);
  const issue = async () => {
    const order = orderFor({ issuer, settings: GRANT, now });
    return { order, pem: (await issuer.issue(order, signal())).credential.token.reveal() };
  };
  return { shared, issuer, supply, issue, now };
}

describe("a CA that is supplied", () => {
  it("signs leaves that carry it, below the root that is trusted", async () => {
    const now = fakeClock();
    const ca = await suppliedCa(now());
    const test = start(ca, now);
    const { pem } = await test.issue();
    expect(pem.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    const [leaf, above] = pem
      .split(/(?<=-----END CERTIFICATE-----\n)/)
      .map((each) => (each === "" ? undefined : new X509Certificate(each)));
    expect(leaf?.issuer).toBe("CN=Acme Clients\nO=Acme");
    expect(above !== undefined && leaf?.verify(above.publicKey)).toBe(true);
    const trusted = (await published(test.issuer, "ca.pem")).toString();
    expect(trusted).toContain(ca.root.trim());
    const bundle = JSON.parse(String(await published(test.issuer, "bundle"))) as {
      readonly keys: readonly { readonly x5c: readonly string[] }[];
    };
    expect(bundle.keys.map(({ x5c }) => x5c[0])).toEqual([new X509Certificate(ca.root).raw.toString("base64")]);
    expect(test.issuer.rotate).toBeUndefined();
  });

  withOpenssl.it("is taken by openssl, chain and lists", async () => {
    await using place = await folder();
    const now = fakeClock(Date.now());
    const ca = await suppliedCa(now());
    const test = start(ca, now);
    const { pem, order } = await test.issue();
    const verify = async () => {
      const files = { leaf: pem, root: ca.root, lists: (await published(test.issuer, "crl.pem")).toString() + ca.list };
      for (const [name, text] of Object.entries(files)) await writeFile(join(place.path, name), text);
      return openssl(
        ["verify", "-x509_strict", "-crl_check_all", "-CAfile", "root", "-CRLfile", "lists", "-untrusted", "leaf", "leaf"],
        place.path,
      );
    };
    const good = await verify();
    expect(good.said).toContain("leaf: OK");
    await test.issuer.revoke({ leaseId: order.leaseId, handle: undefined, expiresAt: order.expiresAt }, signal());
    expect((await verify()).said).toContain("certificate revoked");
  });

  withOpenssl.it.each([
    ["P-384", { name: "ECDSA", namedCurve: "P-384" }],
    ["Ed25519", { name: "Ed25519" }],
    ["RSA of 2048 bits", { name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" }],
  ] as const)("with a key of %s signs leaves and lists that are believed", async (_, algorithm) => {
    await using place = await folder();
    const now = fakeClock(Date.now());
    const ca = await suppliedCa(now(), { algorithm });
    const test = start(ca, now);
    const { pem, order } = await test.issue();
    const [leaf, above] = pem
      .split(/(?<=-----END CERTIFICATE-----\n)/)
      .map((each) => (each === "" ? undefined : new X509Certificate(each)));
    expect(above !== undefined && leaf?.verify(above.publicKey) && leaf.checkIssued(above)).toBe(true);
    await test.issuer.revoke({ leaseId: order.leaseId, handle: undefined, expiresAt: order.expiresAt }, signal());
    await writeFile(join(place.path, "crl"), await published(test.issuer, "crl"));
    await writeFile(join(place.path, "ca"), ca.certificate);
    const read = await openssl(["crl", "-inform", "DER", "-in", "crl", "-noout", "-text", "-CAfile", "ca"], place.path);
    expect(read.said).toContain("verify OK");
    expect(read.said).toContain("Privilege Withdrawn");
  });

  it("is replaced by other files within ten seconds, and its list goes on", async () => {
    const now = fakeClock();
    const test = start(await suppliedCa(now()), now);
    const before = new judge.X509Crl(await published(test.issuer, "crl-1"));
    const { pem } = await test.issue();
    test.supply(await suppliedCa(now()));
    now.advance({ seconds: 10 });
    const after = await test.issue();
    expect(after.pem.split("-----END")[1]).not.toBe(pem.split("-----END")[1]);
    const other = new judge.X509Crl(await published(test.issuer, "crl-2"));
    expect(other.getExtension(judge.AuthorityKeyIdentifierExtension)?.keyId).not.toBe(
      before.getExtension(judge.AuthorityKeyIdentifierExtension)?.keyId,
    );
    expect((await published(test.issuer, "crl.pem")).toString().match(/BEGIN X509 CRL/g)).toHaveLength(2);
  });

  it("that is gone signs nothing, while its list goes on", async () => {
    const now = fakeClock();
    const test = start(await suppliedCa(now()), now);
    await test.issue();
    test.shared.secrets.delete("file:ca.key");
    now.advance({ seconds: 10 });
    await expect(test.issue()).rejects.toThrow(/there is nothing at file:ca.key/);
    expect((await published(test.issuer, "crl")).length).toBeGreaterThan(100);
    await expect(published(start({}).issuer, "crl")).rejects.toThrow(/no CA yet/);
  });

  it("never signs past its own end", async () => {
    const now = fakeClock();
    const test = start(await suppliedCa(now()), now);
    now.advance({ days: 29, hours: 23, minutes: 58 });
    const leaf = new X509Certificate((await test.issue()).pem);
    expect(Date.parse(leaf.validTo)).toBeLessThanOrEqual(now() + 120_000);
    expect((await test.issuer.examine?.(signal()))?.warnings[0]).toMatch(/supply another/);
    now.advance({ minutes: 3 });
    await expect(test.issue()).rejects.toThrow(/the CA has ended/);
  });

  it.each([
    ["another CA's key", async (now: number) => ({ key: (await suppliedCa(now)).key }), /key is not the one of the certificate/],
    ["a certificate of no CA", (now: number) => suppliedCa(now, { ca: false }), /none of a CA/],
    [
      "a CA that may not sign lists",
      (now: number) => suppliedCa(now, { usages: judge.KeyUsageFlags.keyCertSign }),
      /keyCertSign and cRLSign/,
    ],
    ["the root before the CA", async (now: number) => ({ ...(await reversed(now)) }), /key is not the one of the certificate/],
    ["a chain of strangers", async (now: number) => strangers(now), /certificate 2 did not sign certificate 1/],
    ["no certificate", async () => ({ certificate: "hello" }), /1 to 8 certificates in PEM/],
    [
      "a certificate that is none",
      async () => ({ certificate: "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n" }),
      /no certificate/,
    ],
    ["no key", async () => ({ key: "hello" }), /cannot be read as a private key/],
  ])("is refused with %s, by a name for what is wrong", async (_, wrong, why) => {
    const now = fakeClock();
    const test = start({ ...(await suppliedCa(now())), ...(await wrong(now())) }, now);
    await expect(test.issue()).rejects.toThrow(why);
    await expect(test.issue()).rejects.not.toThrow(/PRIVATE/);
  });

  it("has a key that suits, or is refused", async () => {
    const now = fakeClock();
    const test = start({ ...(await suppliedCa(now())), key: p256().export({ type: "pkcs8", format: "pem" }).toString() }, now);
    await expect(test.issue()).rejects.toThrow(/not the one of the certificate/);
  });
});

async function reversed(now: number): Promise<SuppliedCa> {
  const ca = await suppliedCa(now);
  return { ...ca, certificate: ca.root + ca.certificate.replace(ca.root, "") };
}

async function strangers(now: number): Promise<SuppliedCa> {
  const [ca, other] = [await suppliedCa(now), await suppliedCa(now)];
  return { ...ca, certificate: ca.certificate.replace(ca.root, other.root) };
}
