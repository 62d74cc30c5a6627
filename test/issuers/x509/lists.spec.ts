import "reflect-metadata";
import { describe, expect, it } from "@jest/globals";
import * as judge from "@peculiar/x509";
import { AsnConvert } from "@peculiar/asn1-schema";
import { CertificateList } from "@peculiar/asn1-x509";
import assert from "node:assert/strict";
import { webcrypto, X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { StintError } from "../../../domain/errors.ts";
import { newId, type LeaseId } from "../../../domain/ids.ts";
import { Entries } from "../../../issuers/x509/crl.ts";
import { serialOf } from "../../../issuers/naming.ts";
import { orderFor } from "../../contract/issuer-contract.ts";
import { Secret } from "../../../domain/secret.ts";
import { fakeClock, type FakeClock } from "../../support/clock.ts";
import { ifPresent } from "../../support/needs.ts";
import type { TestPorts } from "../../support/target-ports.ts";
import { folder, openssl, openX509, published, SETTINGS, sharedTarget } from "../../support/x509.ts";

const withOpenssl = ifPresent("openssl");
const GRANT = { spiffe_id: "spiffe://acme.test/ci/deploy" };
const signal = (): AbortSignal => AbortSignal.timeout(5_000);
const start = (clock: FakeClock = fakeClock(), shared: TestPorts = sharedTarget(clock)) => ({
  clock,
  shared,
  issuer: openX509(shared),
  now: clock,
  settings: GRANT,
});
const listOf = async (issuer: ReturnType<typeof openX509>, name = "crl"): Promise<judge.X509Crl> =>
  new judge.X509Crl(await published(issuer, name));
const numberOf = (list: judge.X509Crl): bigint =>
  BigInt(
    `0x${Buffer.from(new Uint8Array(list.getExtension("2.5.29.20")?.value ?? new ArrayBuffer(0)))
      .toString("hex")
      .slice(4)}`,
  );
const revoke = (test: ReturnType<typeof start>, lease: LeaseId, expiresAt = test.now() + 600_000) =>
  test.issuer.revoke({ leaseId: lease, handle: undefined, expiresAt }, signal());

describe("the list of revoked certificates", () => {
  it("is signed by the CA and names what was revoked, when and why", async () => {
    const test = start();
    const lease = newId("lease", test.now());
    expect((await listOf(test.issuer)).entries).toEqual([]);
    expect(await revoke(test, lease)).toBe("revoked");
    expect(await revoke(test, lease)).toBe("already_gone");
    const list = await listOf(test.issuer);
    expect(list.entries.map(({ serialNumber, reason, revocationDate }) => [serialNumber, reason, revocationDate.getTime()])).toEqual([
      [serialOf(lease), judge.X509CrlReason.privilegeWithdrawn, test.now()],
    ]);
    const ca = new judge.X509Certificate((await published(test.issuer, "ca.pem")).toString());
    expect(await list.verify({ publicKey: ca })).toBe(true);
    expect(list.issuer).toBe(ca.subject);
    expect([list.thisUpdate.getTime(), list.nextUpdate?.getTime()]).toEqual([test.now() - 30_000, test.now() + 3_600_000]);
  });

  it("stays the same bytes until something changes or half its life is over, under a number that always grows", async () => {
    const test = start();
    const first = await published(test.issuer, "crl");
    test.clock.advance({ minutes: 29 });
    expect(await published(test.issuer, "crl")).toEqual(first);
    test.clock.advance({ minutes: 1 });
    const second = await published(test.issuer, "crl");
    expect(second).not.toEqual(first);
    await revoke(test, newId("lease", test.now()));
    const third = await published(test.issuer, "crl");
    test.clock.advance({ hours: 1 });
    const numbers = [first, second, third, await published(test.issuer, "crl")].map((der) => numberOf(new judge.X509Crl(der)));
    expect(numbers).toEqual(numbers.toSorted((a, b) => (a < b ? -1 : 1)));
    expect(new Set(numbers).size).toBe(4);
  });

  it("of another broker knows it a second later, and of the same broker at once", async () => {
    const test = start();
    const other = openX509(test.shared);
    await Promise.all([published(other, "crl"), published(test.issuer, "crl")]);
    await revoke(test, newId("lease", test.now()));
    expect((await listOf(test.issuer)).entries).toHaveLength(1);
    test.clock.advance({ seconds: 1 });
    expect((await listOf(other)).entries).toHaveLength(1);
  });

  it("names a certificate until it has ended, and on the lists of an hour more", async () => {
    const test = start();
    await revoke(test, newId("lease", test.now()), test.now() + 60_000);
    test.clock.advance({ minutes: 60 });
    expect((await listOf(test.issuer)).entries).toHaveLength(1);
    test.clock.advance({ minutes: 32 });
    expect((await listOf(test.issuer)).entries).toHaveLength(0);
  });

  it("need not name what has ended for everybody's clock", async () => {
    const test = start();
    const lease = newId("lease", test.now());
    expect(await revoke(test, lease, test.now() - 30_000)).toBe("revoked");
    expect(await revoke(test, newId("lease", test.now()), test.now() - 30_001)).toBe("already_gone");
    expect((await listOf(test.issuer)).entries).toHaveLength(1);
  });

  it("keeps its old self when the store cannot be read, by failing", async () => {
    const test = start();
    const broken = openX509(test.shared);
    await published(broken, "crl");
    test.clock.advance({ seconds: 1 });
    test.shared.held.set("ca", new Secret("{}"));
    test.clock.advance({ seconds: 10 });
    await expect(published(broken, "crl")).rejects.toThrow(/shape that this release does not know/);
  });

  withOpenssl.it("holds ten thousand entries, and others work while they are written", async () => {
    await using place = await folder();
    const test = start();
    for (let count = 0; count < 10_000; count += 1) await revoke(test, newId("lease", test.now()));
    let [turns, working] = [0, true];
    const others = (async () => {
      for (; working; turns += 1) await setImmediate();
    })();
    const der = await published(test.issuer, "crl");
    working = false;
    await others;
    expect(turns).toBeGreaterThan(90);
    await writeFile(join(place.path, "crl"), der);
    const read = await openssl(["crl", "-inform", "DER", "-in", "crl", "-noout", "-text"], place.path);
    expect(read.said.match(/Serial Number: 01/g)).toHaveLength(10_000);
  });

  it("is made of entries that are written once, and forgotten when they are over", async () => {
    const entries = new Entries();
    const [one, two] = ["01aa", "01bb"].map((serial) => ({ serial, revokedAt: 0, expiresAt: 1 }));
    assert(one !== undefined && two !== undefined);
    const [first] = await entries.of([one]);
    expect((await entries.of([two, one]))[1]).toBe(first);
    await entries.of([two]);
    const [again] = await entries.of([one]);
    expect(again).not.toBe(first);
    expect(again).toEqual(first);
  });

  it("is, byte for byte, what the library's own generator makes of the same facts", async () => {
    const test = start();
    for (let count = 0; count < 5; count += 1) {
      test.clock.advance({ seconds: 7 });
      await revoke(test, newId("lease", test.now()));
    }
    const ours = await published(test.issuer, "crl");
    const ca = new judge.X509Certificate((await published(test.issuer, "ca.pem")).toString());
    const list = new judge.X509Crl(ours);
    const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
    const theirs = await judge.X509CrlGenerator.create({
      issuer: ca.subjectName,
      thisUpdate: list.thisUpdate,
      ...(list.nextUpdate !== undefined && { nextUpdate: list.nextUpdate }),
      entries: [...test.shared.listed.values()].map(({ serial, revokedAt }) => ({
        serialNumber: serial,
        revocationDate: new Date(revokedAt),
        reason: judge.X509CrlReason.privilegeWithdrawn,
      })),
      extensions: list.extensions,
      signingAlgorithm: algorithm,
      signingKey: (await webcrypto.subtle.generateKey(algorithm, true, ["sign"])).privateKey,
    });
    const signedPart = (der: Uint8Array): Buffer =>
      Buffer.from(AsnConvert.parse(der, CertificateList).tbsCertListRaw ?? new ArrayBuffer(0));
    expect(signedPart(ours).length).toBeGreaterThan(300);
    expect(signedPart(ours)).toEqual(signedPart(new Uint8Array(theirs.rawData)));
  });

  withOpenssl.it("is believed by openssl: what is revoked is refused, what is not is taken", async () => {
    await using place = await folder();
    const test = start(fakeClock(Date.now()));
    const [kept, ended] = [orderFor(test), orderFor(test)];
    for (const [name, order] of [
      ["kept", kept],
      ["ended", ended],
    ] as const)
      await writeFile(join(place.path, name), (await test.issuer.issue(order, signal())).credential.token.reveal());
    await revoke(test, ended.leaseId, ended.expiresAt);
    for (const name of ["ca.pem", "crl", "crl.pem"]) await writeFile(join(place.path, name), await published(test.issuer, name));
    const verify = (name: string) =>
      openssl(
        ["verify", "-x509_strict", "-purpose", "sslclient", "-crl_check", "-CAfile", "ca.pem", "-CRLfile", "crl.pem", name],
        place.path,
      );
    const good = await verify("kept");
    expect(good.said).toContain("kept: OK");
    expect((await verify("ended")).said).toContain("certificate revoked");
    const read = await openssl(["crl", "-inform", "DER", "-in", "crl", "-noout", "-text", "-CAfile", "ca.pem"], place.path);
    expect(read.said).toContain("verify OK");
    expect(read.said).toContain("Privilege Withdrawn");
    for (const file of ["crl", "crl.pem"]) {
      const parsed = await openssl(["asn1parse", "-in", file, "-inform", file === "crl" ? "DER" : "PEM"], place.path);
      expect(parsed).toMatchObject({ code: 0, said: expect.not.stringContaining("Error") });
    }
  });
});

describe("a rotation of the CA", () => {
  it("announces the next before it signs, and drops the old when nothing of it can live", async () => {
    const test = start();
    const leaf = async () => new X509Certificate((await test.issuer.issue(orderFor(test), signal())).credential.token.reveal());
    const cas = async (): Promise<readonly X509Certificate[]> =>
      (await published(test.issuer, "ca.pem"))
        .toString()
        .split(/(?<=-----END CERTIFICATE-----\n)/)
        .filter(Boolean)
        .map((pem) => new X509Certificate(pem));
    const first = await leaf();
    await test.issuer.rotate?.(signal());
    await test.issuer.rotate?.(signal());
    const [old, next, ...more] = await cas();
    expect(more).toEqual([]);
    expect((await leaf()).verify(old?.publicKey ?? first.publicKey)).toBe(true);
    test.clock.advance({ hours: 24 });
    const after = await leaf();
    expect(after.verify(next?.publicKey ?? first.publicKey)).toBe(true);
    expect(await cas()).toHaveLength(2);
    test.clock.advance({ hours: 25, seconds: 10 });
    expect((await cas()).map(({ fingerprint256 }) => fingerprint256)).toEqual([next?.fingerprint256]);
  });

  it("leaves every certificate the list that it names", async () => {
    const test = start();
    const pointOf = async (): Promise<string> => {
      const leaf = new judge.X509Certificate((await test.issuer.issue(orderFor(test), signal())).credential.token.reveal());
      const { distributionPoint } = leaf.getExtension(judge.CRLDistributionPointsExtension)?.distributionPoints[0] ?? {};
      return (distributionPoint?.fullName?.[0]?.uniformResourceIdentifier ?? "").replace("https://stint.test/targets/mesh/", "");
    };
    const before = await pointOf();
    const oldIssuer = (await listOf(test.issuer, before)).issuer;
    await test.issuer.rotate?.(signal());
    test.clock.advance({ hours: 24 });
    const after = await pointOf();
    expect([before, after]).toEqual(["crl-1", "crl-2"]);
    expect((await listOf(test.issuer, before)).issuer).toBe(oldIssuer);
    expect((await listOf(test.issuer, after)).issuer).not.toBe(oldIssuer);
    expect((await listOf(test.issuer)).issuer).toBe((await listOf(test.issuer, after)).issuer);
    await expect(published(test.issuer, "crl-3")).rejects.toThrow(StintError);
    expect((await published(test.issuer, "crl.pem")).toString().match(/BEGIN X509 CRL/g)).toHaveLength(2);
  });

  it("is refused while four CAs are in use, and goes on in a day", async () => {
    const clock = fakeClock();
    const shared = sharedTarget(clock);
    const issuer = openX509(shared, { ...SETTINGS, ca: { announce: "10m" } });
    await published(issuer, "ca.pem");
    for (let count = 0; count < 3; count += 1) {
      await issuer.rotate?.(signal());
      clock.advance({ minutes: 11 });
    }
    await expect(issuer.rotate?.(signal())).rejects.toThrow(/4 CAs are in use/);
    clock.advance({ hours: 25 });
    await issuer.rotate?.(signal());
    clock.advance({ minutes: 11 });
    expect((await listOf(issuer)).issuer).toBe((await listOf(issuer, "crl-1")).issuer);
  });

  it("by several brokers at once makes one CA, and the first of all is made once, too", async () => {
    const clock = fakeClock();
    const shared = sharedTarget(clock);
    const brokers = Array.from({ length: 5 }, () => openX509(shared));
    const trusted = await Promise.all(brokers.map((each) => published(each, "ca.pem")));
    expect(new Set(trusted.map(String)).size).toBe(1);
    await Promise.all(brokers.map(async (each) => each.rotate?.(signal())));
    expect((JSON.parse(shared.held.get("ca")?.reveal() ?? "{}") as { authorities: unknown[] }).authorities).toHaveLength(2);
  });

  it("is a fact, and the end of a CA a warning", async () => {
    const clock = fakeClock();
    const issuer = openX509(sharedTarget(clock), { ...SETTINGS, ca: { validity: "60d" } });
    const made = clock();
    expect(await issuer.examine?.(signal())).toMatchObject({ passwordChangedAt: made, warnings: [] });
    clock.advance({ days: 31 });
    expect((await issuer.examine?.(signal()))?.warnings[0]).toContain("the CA ends");
    clock.advance({ days: 30 });
    const test = { issuer, settings: GRANT, now: clock };
    await expect(issuer.issue(orderFor(test), signal())).rejects.toThrow(/the CA has ended: rotate it/);
  });

  it("tells SPIFFE's verifiers by a bundle that counts up", async () => {
    const test = start();
    const bundle = async () =>
      JSON.parse(String(await published(test.issuer, "bundle"))) as { keys: Record<string, unknown>[]; spiffe_sequence: number };
    const first = await bundle();
    expect(first.keys[0]).toMatchObject({ use: "x509-svid", kty: "EC", crv: "P-256", x5c: [expect.any(String)] });
    await test.issuer.rotate?.(signal());
    const second = await bundle();
    expect(second.keys).toHaveLength(2);
    test.clock.advance({ hours: 50 });
    const third = await bundle();
    expect(third.keys).toHaveLength(1);
    expect([first, second, third].map(({ spiffe_sequence }) => spiffe_sequence)).toEqual([2, 3, 4]);
  });
});
