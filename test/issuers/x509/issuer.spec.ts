import "reflect-metadata";
import { describe, expect, it } from "@jest/globals";
import * as judge from "@peculiar/x509";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { instantOf } from "../../../domain/ids.ts";
import { serialOf } from "../../../issuers/naming.ts";
import { issuerContract, orderFor, type IssuerUnderTest } from "../../contract/issuer-contract.ts";
import { fakeClock } from "../../support/clock.ts";
import { ifPresent } from "../../support/needs.ts";
import type { TestPorts } from "../../support/target-ports.ts";
import {
  address,
  dns,
  folder,
  openssl,
  openX509,
  p256,
  published,
  requestFor,
  SETTINGS,
  sharedTarget,
  uri,
  wishNames,
  type Piece,
} from "../../support/x509.ts";
import { x509Kind } from "../../../issuers/x509/issuer.ts";
import type { X509Params } from "../../../issuers/x509/settings.ts";
import type { Issuer } from "../../../domain/credential.ts";

const withOpenssl = ifPresent("openssl");
const GRANT = { spiffe_id: "spiffe://acme.test/ci/deploy" };
const signal = (): AbortSignal => AbortSignal.timeout(5_000);

interface Under extends IssuerUnderTest<X509Params> {
  readonly issuer: Issuer<X509Params>;
  readonly shared: TestPorts;
  readonly clock: ReturnType<typeof fakeClock>;
}
function under(settings: object = SETTINGS, grant: object = GRANT): Under {
  const clock = fakeClock();
  const shared = sharedTarget(clock);
  return { issuer: openX509(shared, settings), settings: grant, now: clock, shared, clock };
}

issuerContract("x509", async () => ({ ...under(), [Symbol.asyncDispose]: async () => undefined }));

/** A certificate as the judges read it. */
async function certificateOf(test: Under, more: Parameters<typeof orderFor<X509Params>>[1] = {}) {
  const order = orderFor<X509Params>(test, more);
  const { credential } = await test.issuer.issue(order, signal());
  const pem = credential.token.reveal();
  return { order, credential, pem, node: new X509Certificate(pem), other: new judge.X509Certificate(pem) };
}

describe("a certificate", () => {
  it("says what a verifier needs, as node:crypto and the library read it", async () => {
    const test = under();
    const { node, other, order, credential } = await certificateOf(test);
    const ca = new X509Certificate(await published(test.issuer, "ca.pem"));
    expect(node.verify(ca.publicKey)).toBe(true);
    expect(node.checkIssued(ca)).toBe(true);
    expect(node.ca).toBe(false);
    expect(node.subjectAltName).toBe("URI:spiffe://acme.test/ci/deploy");
    expect(node.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2"]);
    expect(node.serialNumber.toLowerCase()).toBe(serialOf(order.leaseId));
    expect(credential).toMatchObject({
      type: "x509_certificate",
      member: "certificate",
      facts: { serial: serialOf(order.leaseId), spiffe_id: GRANT.spiffe_id },
    });
    expect(other.getExtension(judge.KeyUsagesExtension)?.usages).toBe(judge.KeyUsageFlags.digitalSignature);
    expect(other.getExtension(judge.BasicConstraintsExtension)).toMatchObject({ ca: false, critical: true });
    expect(other.getExtension(judge.SubjectAlternativeNameExtension)?.critical).toBe(true);
    expect(
      other.getExtension(judge.CRLDistributionPointsExtension)?.distributionPoints[0]?.distributionPoint?.fullName?.[0]
        ?.uniformResourceIdentifier,
    ).toBe("https://stint.test/targets/mesh/crl-1");
    const root = new judge.X509Certificate(ca.toString());
    expect(other.getExtension(judge.AuthorityKeyIdentifierExtension)?.keyId).toBe(
      root.getExtension(judge.SubjectKeyIdentifierExtension)?.keyId,
    );
    expect(await other.verify({ publicKey: root.publicKey, date: new Date(test.now()) })).toBe(true);
  });

  withOpenssl.it("says so to openssl, too, which knows nothing of the library that wrote it", async () => {
    await using place = await folder();
    const { pem } = await certificateOf(under());
    await writeFile(join(place.path, "leaf"), pem);
    const read = await openssl(["x509", "-in", "leaf", "-noout", "-text"], place.path);
    const said = read.said.replaceAll(/\s+/g, " ");
    for (const extension of [
      "X509v3 Basic Constraints: critical CA:FALSE",
      "X509v3 Key Usage: critical Digital Signature",
      "X509v3 Extended Key Usage: TLS Web Client Authentication X509v3",
      "X509v3 Subject Alternative Name: critical URI:spiffe://acme.test/ci/deploy X509v3",
      "X509v3 CRL Distribution Points: Full Name: URI:https://stint.test/targets/mesh/crl-1",
    ])
      expect(said).toContain(extension);
    expect(said.match(/X509v3 (?!extensions)/g)).toHaveLength(7);
  });

  it("lives from half a minute ago to the lease's end, and never a second longer", async () => {
    const test = under();
    const { node, order } = await certificateOf(test, { expiresAt: test.now() + 61_999 });
    expect(Date.parse(node.validTo)).toBe(Math.floor(order.expiresAt / 1000) * 1000);
    expect(Date.parse(node.validFrom)).toBe(Math.floor((test.now() - 30_000) / 1000) * 1000);
  });

  it("comes with a key of ours that is its own, and prints nowhere", async () => {
    const { node, credential } = await certificateOf(under());
    const key = credential.secrets?.["private_key"]?.reveal() ?? "";
    expect(node.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(JSON.stringify(credential)).not.toContain("PRIVATE KEY");
  });

  it("names hosts and a common name where the grant does, and servers only where the Target says so", async () => {
    const grant = { dns_names: ["db.acme.test", "*.acme.test"], common_name: "deploy-bot" };
    const test = under({ ...SETTINGS, wildcards: true, server_auth: true }, grant);
    const { node, other } = await certificateOf(test);
    expect(node.subject).toBe("CN=deploy-bot");
    expect(node.subjectAltName).toBe("DNS:db.acme.test, DNS:*.acme.test");
    expect(node.keyUsage).toEqual(["1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1"]);
    expect(other.getExtension(judge.SubjectAlternativeNameExtension)?.critical).toBe(false);
  });

  it("takes the workload's id into its SPIFFE ID as one segment, and nothing that would be more", async () => {
    const test = under(SETTINGS, { spiffe_id: "spiffe://acme.test/{trust}/{id}/{grant}" });
    const { node } = await certificateOf(test);
    expect(node.subjectAltName).toBe("URI:spiffe://acme.test/github/456789/deploy-prod");
    for (const id of ["a/b", "..", ".", "", "a b", "ä", "a%2fb", "x?y", "x\n"])
      await expect(certificateOf(test, { subject: `github:${id}` })).rejects.toThrow(/no segment of a SPIFFE ID/);
  });

  it("has a serial that follows from its lease alone", () => {
    const id = "lease_01k9zv3sk1f3x8d4t6r2m5n7p9";
    expect(serialOf(id)).toMatch(/^01[0-9a-f]{32}$/);
    expect(Number.parseInt(serialOf(id).slice(2, 14), 16)).toBe(instantOf(id));
  });
});

describe("a certificate request", () => {
  const csrOf = (test: Under, csr: string): Readonly<Record<string, unknown>> => test.issuer.options?.parse({ csr }) ?? {};

  it("gets a certificate for its key, and no private key", async () => {
    const test = under();
    const key = p256();
    const { node, credential } = await certificateOf(test, { options: csrOf(test, requestFor(key, { commonName: "whatever" })) });
    expect(node.checkPrivateKey(key)).toBe(true);
    expect(credential.secrets).toBeUndefined();
    expect(node.subject).toBeUndefined();
  });

  it("may wish for the grant's own names, and for no others", async () => {
    const test = under(SETTINGS, { ...GRANT, dns_names: ["db.acme.test"] });
    const params = test.issuer.params.parse(test.settings);
    const refused = (...names: readonly Piece[]) =>
      test.issuer.refuses?.(params, csrOf(test, requestFor(p256(), { extensions: [wishNames(...names)] })));
    expect(refused(uri(GRANT.spiffe_id), dns("db.acme.test"))).toBeUndefined();
    for (const name of [uri("spiffe://acme.test/admin"), dns("www.acme.test"), dns("db.acme.test\0.evil.test"), address(127, 0, 0, 1)])
      expect(refused(dns("db.acme.test"), name)).toMatch(/names that this grant does not give/);
  });

  it("is asked for, or refused, as the grant says", async () => {
    const ask = under(SETTINGS, { ...GRANT, key: "ask" });
    const make = under(SETTINGS, { ...GRANT, key: "make" });
    await expect(certificateOf(ask)).rejects.toThrow(/send a certificate request/);
    await expect(certificateOf(make, { options: csrOf(make, requestFor(p256())) })).rejects.toThrow(/leave the option `csr` out/);
    expect(ask.issuer.refuses?.(ask.issuer.params.parse(ask.settings), {})).toMatch(/send a certificate request/);
  });

  it("cannot slip another SPIFFE ID through a placeholder", async () => {
    const test = under(SETTINGS, { spiffe_id: "spiffe://acme.test/{id}" });
    const csr = requestFor(p256(), { extensions: [wishNames(uri("spiffe://acme.test/999"))] });
    await expect(certificateOf(test, { options: csrOf(test, csr) })).rejects.toThrow(/names that this grant does not give/);
    const own = requestFor(p256(), { extensions: [wishNames(uri("spiffe://acme.test/456789"))] });
    expect((await certificateOf(test, { options: csrOf(test, own) })).node.subjectAltName).toBe("URI:spiffe://acme.test/456789");
  });
});

describe("the class", () => {
  it("is what those who check the list allow to be said", () => {
    expect(under().issuer).toMatchObject({ revocation: "expiry_only", checkedWithinMs: undefined, bearer: false, computesOnly: false });
    expect(under({ ...SETTINGS, list_read_every: "30s" }).issuer).toMatchObject({
      revocation: "verifier_checked",
      checkedWithinMs: 31_000,
    });
  });

  it("cannot rest on readers whose copy of the list is over", () => {
    expect(x509Kind.settings.safeParse({ ...SETTINGS, list_valid: "1h", list_read_every: "31m" }).success).toBe(false);
    expect(x509Kind.settings.safeParse({ ...SETTINGS, list_valid: "1h", list_read_every: "30m" }).success).toBe(true);
  });
});
