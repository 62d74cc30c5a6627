import "reflect-metadata";
import { describe, expect, it } from "@jest/globals";
import * as judge from "@peculiar/x509";
import { Null } from "asn1js";
import fc from "fast-check";
import { createPrivateKey, createPublicKey, generateKeyPairSync, webcrypto } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { spkiOf } from "../../../issuers/x509/keys.ts";
import { fromPem, toPem } from "../../../issuers/x509/pem.ts";
import { BadRequest, MAX_REQUEST, readRequest } from "../../../issuers/x509/request.ts";
import { ifPresent } from "../../support/needs.ts";
import {
  attribute,
  dns,
  folder,
  openssl,
  p256,
  requestFor,
  sequence,
  uri,
  wishCa,
  WISH,
  wishNames,
  wishOther,
  wishRaw,
} from "../../support/x509.ts";

const withOpenssl = ifPresent("openssl");
const rsa = (modulusLength: number, publicExponent = 0x10001) => generateKeyPairSync("rsa", { modulusLength, publicExponent }).privateKey;
const ec = (namedCurve: string) => generateKeyPairSync("ec", { namedCurve }).privateKey;

describe("a certificate request", () => {
  it.each([
    ["P-256", p256()],
    ["P-384", ec("P-384")],
    ["Ed25519", generateKeyPairSync("ed25519").privateKey],
    ["RSA of 2048 bits", rsa(2048)],
  ])("of a key of %s is read, and its key taken", (_, key) => {
    const read = readRequest(requestFor(key, { extensions: [wishNames(uri("spiffe://acme.test/x"), dns("a.test"))] }));
    expect(createPublicKey({ key: read.spki, format: "der", type: "spki" }).equals(createPublicKey(key))).toBe(true);
    expect(read.names).toEqual(["URI:spiffe://acme.test/x", "DNS:a.test"]);
  });

  it("made by the library's generator is read as the library reads it", async () => {
    const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const theirs = await judge.Pkcs10CertificateRequestGenerator.create({
      name: "CN=deploy, O=Acme",
      keys,
      signingAlgorithm: algorithm,
      extensions: [new judge.SubjectAlternativeNameExtension([{ type: "url", value: "spiffe://acme.test/x" }])],
      attributes: [new judge.ChallengePasswordAttribute("secret")],
    });
    const read = readRequest(theirs.toString("pem"));
    expect(read.names).toEqual(["URI:spiffe://acme.test/x"]);
    expect(read.spki.equals(Buffer.from(theirs.publicKey.rawData))).toBe(true);
  });

  withOpenssl.it("made by openssl is read, with and without wishes", async () => {
    await using place = await folder();
    for (const more of [[], ["-addext", "subjectAltName=URI:spiffe://acme.test/x,DNS:a.test"]]) {
      const args = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key", "-subj", "/CN=x"];
      const made = await openssl([...args, "-out", "csr", ...more], place.path);
      expect(made.code).toBe(0);
      const { said } = await openssl(["req", "-in", "csr"], place.path);
      expect(readRequest(said).names).toEqual(more.length === 0 ? [] : ["URI:spiffe://acme.test/x", "DNS:a.test"]);
    }
  });

  withOpenssl.it("of ours is valid by openssl's reading, too", async () => {
    await using place = await folder();
    await writeFile(join(place.path, "csr"), requestFor(p256(), { extensions: [wishNames(dns("a.test"))] }));
    const judged = await openssl(["req", "-in", "csr", "-verify", "-noout"], place.path);
    expect(judged).toMatchObject({ code: 0, said: expect.stringMatching(/verify OK/i) });
  });

  it("that says it wishes to be no CA is read, however it says so", () => {
    expect(readRequest(requestFor(p256(), { extensions: [wishCa(false)] })).names).toEqual([]);
    expect(readRequest(requestFor(p256(), { extensions: [wishRaw(WISH.basicConstraints, Buffer.from([0x30, 0]))] })).names).toEqual([]);
  });

  const wrong = (text: string): string => {
    try {
      readRequest(text);
    } catch (error) {
      expect(error).toBeInstanceOf(BadRequest);
      return String(error);
    }
    return "read";
  };
  const [der = Buffer.alloc(0)] = fromPem(requestFor(p256(), { extensions: [wishNames(dns("a.test"))] }), "CERTIFICATE REQUEST") ?? [];
  const asPem = (bytes: Uint8Array): string => toPem("CERTIFICATE REQUEST", bytes);
  const flipped = Buffer.from(der);
  flipped[der.length - 1] = (flipped[der.length - 1] ?? 0) ^ 1;
  const key = p256();

  it.each([
    ["signed by another key", requestFor(key, { signer: p256() }), /not signed by the key/],
    ["whose signature was changed", asPem(flipped), /not signed by the key/],
    ["whose key was put in place of the signer's", requestFor(key, { spki: spkiOf(p256()) }), /not signed by the key/],
    ["signed by a key of another kind", requestFor(key, { signer: rsa(2048) }), /not signed by the key/],
    ["signed with SHA-1", requestFor(key, { hash: "sha1" }), /not signed by the key/],
    ["to be a CA", requestFor(key, { extensions: [wishCa()] }), /asks to be a CA/],
    ["with a short RSA key", requestFor(rsa(1024)), /RSA key must have 2048 to 4096 bits; it has 1024/],
    ["with an RSA exponent of 3", requestFor(rsa(2048, 3)), /exponent/],
    ["with another curve", requestFor(ec("secp256k1")), /curve must be P-256 or P-384/],
    [
      "with an attribute twice",
      requestFor(key, { extensions: [], attributes: [attribute(WISH.extensionRequest, sequence(wishCa()))] }),
      /attribute twice/,
    ],
    ["with an extension twice", requestFor(key, { extensions: [wishNames(dns("a.test")), wishNames(dns("b.test"))] }), /extension twice/],
    ["that is longer than allowed", requestFor(key, { extensions: [wishNames(dns("a".repeat(MAX_REQUEST)))] }), /longer than 8192/],
    ["that is no DER", asPem(Buffer.from("3080020100", "hex")), /no PKCS#10 request in DER/],
    [
      "with something behind it",
      asPem(Buffer.concat([der, Buffer.from([5, 0])])),
      /no PKCS#10 request in DER: it could be written otherwise, or holds more/,
    ],
    ["that ends early", asPem(der.subarray(0, der.length - 5)), /no PKCS#10 request in DER/],
    ["of a version that nobody knows", requestFor(key, { version: 1 }), /another version/],
    ["with a length that could be shorter", asPem(longer(der)), /could be written otherwise/],
    [
      "whose wishes could be written otherwise",
      requestFor(key, { extensions: [wishRaw(WISH.subjectAltName, Buffer.from("308103820161", "hex"))] }),
      /could be written otherwise/,
    ],
    ["of boxes in boxes", asPem(nested(1400)), /no PKCS#10 request in DER/],
    ["of more pieces than any request has", asPem(many(2500)), /no PKCS#10 request in DER/],
    ["that is a certificate", toPem("CERTIFICATE", der), /must be one PEM block/],
    ["that is two", asPem(der) + asPem(der), /must be one PEM block/],
    ["with text before it", `hello\n${asPem(der)}`, /must be one PEM block/],
    ["that is empty", "", /must be one PEM block/],
  ])("%s is refused", (_, text, why) => {
    expect(wrong(text)).toMatch(why);
  });

  it("wishing for anything else gets nothing of it", () => {
    expect(
      readRequest(requestFor(key, { extensions: [wishOther(WISH.keyUsage), wishOther("1.2.3.4")], commonName: "CN=root,O=evil" })).names,
    ).toEqual([]);
  });

  it("that was damaged anywhere is refused in words, never otherwise", () => {
    fc.assert(
      fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), fc.boolean(), (at, change, cut) => {
        const bytes = Buffer.from(cut ? der.subarray(0, at) : der);
        if (!cut) bytes[at] = (bytes[at] ?? 0) ^ change;
        expect(wrong(asPem(bytes))).toMatch(/^BadRequest: /);
      }),
      { numRuns: 1000 },
    );
  });

  it("of random bytes or text is refused in words", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void expect(wrong(asPem(bytes))).toMatch(/^BadRequest: /)));
    fc.assert(fc.property(fc.string(), (text) => void expect(wrong(text)).toMatch(/^BadRequest: /)));
  });

  it("holds no private key, whatever was sent", () => {
    const pem = createPrivateKey(key.export({ type: "pkcs8", format: "pem" }))
      .export({ type: "pkcs8", format: "pem" })
      .toString();
    expect(wrong(pem)).not.toContain(pem.slice(40, 80));
  });
});

/** The same element, with a byte of length more than it needs. */
function longer(der: Buffer): Buffer {
  if (der[1] !== 0x81) throw new Error("the request has another size than this test expects");
  return Buffer.concat([Buffer.from([0x30, 0x82, 0]), der.subarray(2)]);
}

function nested(levels: number): Uint8Array {
  let inside = sequence();
  for (let level = 0; level < levels; level += 1) inside = sequence(inside);
  return new Uint8Array(inside.toBER());
}

function many(pieces: number): Uint8Array {
  return new Uint8Array(sequence(...Array.from({ length: pieces }, () => new Null())).toBER());
}
