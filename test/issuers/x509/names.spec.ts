import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { X509Certificate } from "node:crypto";
import { parseSpiffeId } from "../../../domain/spiffe-id.ts";
import { rootCertificate, leafCertificate, distinguishedName } from "../../../issuers/x509/certificate.ts";
import { signingKey, spkiOf } from "../../../issuers/x509/keys.ts";
import { renderSpiffeId, wrongCommonName, wrongDnsName } from "../../../issuers/x509/names.ts";
import { X509Settings, x509Params } from "../../../issuers/x509/settings.ts";
import { p256 } from "../../support/x509.ts";

const params = x509Params({ trust_domain: "acme.test", domains: ["acme.test"], wildcards: false });
const why = (grant: object): string =>
  params
    .safeParse(grant)
    .error?.issues.map(({ path, message }) => `${path.join(".")}: ${message}`)
    .join("; ") ?? "fine";

describe("a grant's names", () => {
  it.each([
    [{ spiffe_id: "spiffe://acme.test/ci/deploy" }],
    [{ spiffe_id: "spiffe://acme.test/{trust}/{id}/{grant}/{task}" }],
    [{ dns_names: ["acme.test", "a-b.c1.acme.test"] }],
    [{ common_name: "deploy-bot@acme.test" }],
    [{ spiffe_id: "spiffe://acme.test/x", dns_names: ["db.acme.test"], common_name: "db", key: "ask" }],
  ])("are taken: %j", (grant) => {
    expect(why(grant)).toBe("fine");
  });

  it.each([
    [{}, "must name somebody"],
    [{ spiffe_id: "spiffe://other.test/x" }, "outside the Target's trust domain"],
    [{ spiffe_id: "spiffe://acme.test" }, "must be spiffe://"],
    [{ spiffe_id: "spiffe://acme.test/" }, "must be spiffe://"],
    [{ spiffe_id: "spiffe://acme.test/a/../b" }, "must be spiffe://"],
    [{ spiffe_id: "spiffe://acme.test/a,DNS:evil.test" }, "must be spiffe://"],
    [{ spiffe_id: "spiffe://acme.test/a\n" }, "must be spiffe://"],
    [{ spiffe_id: "spiffe://acme.test/a\0b" }, "must be spiffe://"],
    [{ spiffe_id: "spiffe://acme.test/ä" }, "must be spiffe://"],
    [{ spiffe_id: "spiffe://acme.test/x-{id}" }, "must be spiffe://"],
    [{ spiffe_id: "spiffe://{id}/x" }, "outside the Target's trust domain"],
    [{ spiffe_id: "spiffe://acme.test/{subject}" }, "there are {id}"],
    [{ spiffe_id: "SPIFFE://acme.test/x" }, "must be spiffe://"],
    [{ dns_names: ["evil.test"] }, "in none of the Target's domains"],
    [{ dns_names: ["notacme.test"] }, "in none of the Target's domains"],
    [{ dns_names: ["*.acme.test"] }, "is a wildcard"],
    [{ dns_names: ["a.acme.test,dns:evil.test"] }, "is no host name"],
    [{ dns_names: ["a\0.acme.test"] }, "printable ASCII only"],
    [{ dns_names: ["a.acme.test\n"] }, "printable ASCII only"],
    [{ dns_names: ["bücher.acme.test"] }, "printable ASCII only"],
    [{ dns_names: ["xn--bcher-kva.acme.test"] }, "internationalised"],
    [{ dns_names: ["A.acme.test"] }, "lower case"],
    [{ dns_names: ["-a.acme.test"] }, "is no host name"],
    [{ dns_names: ["a..acme.test"] }, "is no host name"],
    [{ dns_names: ["a.acme.test."] }, "is no host name"],
    [{ dns_names: [`${"a".repeat(64)}.acme.test`] }, "is no host name"],
    [{ dns_names: ["10.0.0.1"] }, "looks like an address"],
    [{ dns_names: ["acme.test", "acme.test"] }, "names a host twice"],
    [{ common_name: "a,O=evil" }, "must be 1 to 64"],
    [{ common_name: "a\0b" }, "must be 1 to 64"],
    [{ common_name: "a/CN=b" }, "must be 1 to 64"],
    [{ common_name: "a+b" }, "must be 1 to 64"],
    [{ common_name: "" }, "must be 1 to 64"],
    [{ common_name: "a".repeat(65) }, "must be 1 to 64"],
    [{ common_name: "x", key: "mine" }, "key"],
    [{ common_name: "x", surprise: 1 }, "surprise"],
  ])("are refused: %j", (grant, reason) => {
    expect(why(grant)).toContain(reason);
  });

  it("need the Target to allow them", () => {
    const bare = x509Params({ trust_domain: undefined, domains: [], wildcards: true });
    expect(bare.safeParse({ spiffe_id: "spiffe://acme.test/x" }).error?.issues[0]?.message).toContain("trust_domain");
    expect(bare.safeParse({ dns_names: ["a.test"] }).error?.issues[0]?.message).toContain("domains");
    const wild = x509Params({ trust_domain: undefined, domains: ["acme.test"], wildcards: true });
    expect(wild.safeParse({ dns_names: ["*.acme.test"] }).success).toBe(true);
    expect(wild.safeParse({ dns_names: ["*.test"] }).success).toBe(false);
    expect(wild.safeParse({ dns_names: ["*"] }).success).toBe(false);
  });

  it("that are taken stand in the certificate as they were written, one each", async () => {
    const key = p256();
    const signer = { name: distinguishedName({ CN: "ca" }), identifier: Buffer.alloc(20), signing: await signingKey(key) };
    const text = fc.oneof(
      fc.string({ maxLength: 40 }),
      fc.stringMatching(/^[a-z0-9.*,:\0\n-]{1,40}$/),
      fc.stringMatching(/^[a-z0-9.-]{1,30}$/),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 3 }), text, async (hosts, common) => {
        const dnsNames = hosts.filter((host) => wrongDnsName(host, true) === undefined);
        const commonName = wrongCommonName(common) === undefined ? common : undefined;
        const facts = {
          serial: "01aa",
          spki: spkiOf(key),
          notBefore: 0,
          notAfter: 1e12,
          spiffeId: undefined,
          serverAuth: false,
          crl: "http://x/y",
        };
        const leaf = new X509Certificate(await leafCertificate(signer, { ...facts, dnsNames, commonName }));
        expect(leaf.subjectAltName).toBe(dnsNames.length === 0 ? undefined : dnsNames.map((host) => `DNS:${host}`).join(", "));
        expect(leaf.subject).toBe(commonName === undefined ? undefined : `CN=${commonName}`);
      }),
    );
  });

  it("filled in with anything stay one SPIFFE ID beneath their place", () => {
    const template = "spiffe://acme.test/ci/{id}/x";
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z./%{}]{0,12}$/)), (id) => {
        const made = renderSpiffeId(template, { id, trust: "t", grant: "g", task: "k" });
        if (made === undefined) return;
        expect(made).toBe(`spiffe://acme.test/ci/${id}/x`);
        expect(parseSpiffeId(made)?.path.split("/")).toEqual(["", "ci", id, "x"]);
      }),
    );
  });
});

describe("a Target's settings", () => {
  it.each([
    [{ ca: { certificate: "file:ca.pem" } }, "needs both"],
    [{ ca: { certificate: "file:ca.pem", key: "file:ca.key", validity: "3650d" } }, "belongs to a CA that Stint makes"],
    [{ ca: { certificate: "ca.pem", key: "file:k" } }, "must be env:NAME or file:PATH"],
    [{ ca: { validity: "1d" } }, "from 30d to 7300d"],
    [{ ca: { announce: "1m" } }, "from 10m to 30d"],
    [{ ca: { name: "a,b" } }, "must be 1 to 64"],
    [{ trust_domain: "Acme.test" }, "must be spiffe://"],
    [{ trust_domain: "acme.test/x" }, "outside"],
    [{ domains: ["*.acme.test"] }, "wildcard"],
    [{ list_valid: "1s" }, "from 5m to 7d"],
    [{ surprise: true }, "surprise"],
  ])("are refused: %j", (settings, reason) => {
    expect(
      X509Settings.safeParse(settings)
        .error?.issues.map(({ message }) => message)
        .join("; "),
    ).toContain(reason);
  });

  it("may all be left out", () => {
    expect(X509Settings.parse({})).toEqual({ ca: {}, domains: [], wildcards: false, server_auth: false, list_valid: 3_600_000 });
  });

  it("make a root that is one", async () => {
    const key = p256();
    const signer = { name: distinguishedName({ CN: "ca" }), identifier: Buffer.alloc(20, 7), signing: await signingKey(key) };
    const root = new X509Certificate(await rootCertificate(signer, { serial: "01", spki: spkiOf(key), notBefore: 0, notAfter: 4e12 }));
    expect(root.ca).toBe(true);
    expect(root.verify(root.publicKey)).toBe(true);
    expect(root.validTo).toContain("2096");
  });
});
