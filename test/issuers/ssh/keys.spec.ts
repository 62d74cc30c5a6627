import { describe, expect, it } from "@jest/globals";
import { createPublicKey, generateKeyPairSync, randomBytes, verify, type KeyObject } from "node:crypto";
import fc from "fast-check";
import { caKey, fingerprintOf } from "../../../issuers/ssh/ca-key.ts";
import { makeKeyPair, readPrivateKey, writePrivateKey } from "../../../issuers/ssh/private-key.ts";
import { lineOf, parsePublicKey, publicKeyOf } from "../../../issuers/ssh/public-key.ts";
import { MalformedKey, mpint, Reader, string, u32 } from "../../../issuers/ssh/wire.ts";
import { systemClock } from "../../../domain/time.ts";
import { targetPorts, type TestPorts } from "../../support/target-ports.ts";
import { desk, issueWith, openSsh, withSsh } from "./support.ts";

const ed25519 = (): KeyObject => generateKeyPairSync("ed25519").privateKey;
const ec = (namedCurve: string): KeyObject => generateKeyPairSync("ec", { namedCurve }).privateKey;
const rsa = (modulusLength: number): KeyObject => generateKeyPairSync("rsa", { modulusLength }).privateKey;
const rsa2048 = rsa(2048);
const line = (type: string, ...parts: readonly Buffer[]): string =>
  `${type} ${Buffer.concat([string(type), ...parts]).toString("base64")} somebody`;
const wrong = (text: string): string => {
  try {
    parsePublicKey(text);
  } catch (error) {
    expect(error).toBeInstanceOf(MalformedKey);
    return (error as MalformedKey).message;
  }
  return "";
};
const good = lineOf(publicKeyOf(ed25519()), "me@host");
const [, goodBase64 = ""] = good.split(" ");
const point = (key: KeyObject): { readonly x: Buffer; readonly y: Buffer } => {
  const { x, y } = createPublicKey(key).export({ format: "jwk" });
  return { x: Buffer.from(x ?? "", "base64url"), y: Buffer.from(y ?? "", "base64url") };
};
const p256 = point(ec("P-256"));
const full = Buffer.concat([Buffer.of(4), p256.x, p256.y]);

describe("a public key", () => {
  it.each([
    ["Ed25519", ed25519(), "ssh-ed25519"],
    ["P-256", ec("P-256"), "ecdsa-sha2-nistp256"],
    ["P-384", ec("P-384"), "ecdsa-sha2-nistp384"],
    ["P-521", ec("P-521"), "ecdsa-sha2-nistp521"],
    ["RSA", rsa2048, "ssh-rsa"],
  ])("of type %s is read from what .pub files hold", (_, key, type) => {
    const written = lineOf(publicKeyOf(key), 'a comment, with "quotes"');
    for (const text of [written, `${written}\n`, `${written}\r\n`, written.split(" ").slice(0, 2).join(" ")])
      expect(parsePublicKey(text)).toEqual(publicKeyOf(key));
    expect(publicKeyOf(key).type).toBe(type);
  });

  it.each([
    ["empty", "", "expected one line"],
    ["a word", "ssh-ed25519", "expected one line"],
    ["a private key", writePrivateKey(ed25519(), "x"), "expected one line"],
    ["two lines", `${good}\n${good}\n`, "expected one line"],
    ["options before the type", `command="id" ${good}`, "expected one line"],
    ["an end of line within", `ssh-ed25519 ${goodBase64} x\nssh-rsa`, "expected one line"],
    ["a NUL in its comment", `${good}\0`, "expected one line"],
    ["too long", `${good}${"x".repeat(4096)}`, "it is longer than 4096 characters"],
    ["base64 that is cut", `ssh-ed25519 ${goodBase64.slice(0, -1)}`, "its base64 is not complete"],
    [
      "base64 with bits left over",
      `ssh-ed25519 ${Buffer.concat([string("ssh-ed25519"), string(randomBytes(32))])
        .toString("base64")
        .slice(0, -2)}B`,
      "it",
    ],
    ["another type inside", `ssh-ed25519 ${line("ssh-dss").split(" ")[1]}`, "its type is none of"],
    ["a known type inside another", `ssh-rsa ${goodBase64}`, "its base64 holds a key of another type"],
    [
      "a type that is a property of every object",
      line("ecdsa-sha2-constructor", string("constructor"), string(full)),
      "its type is none of",
    ],
    ["DSA", line("ssh-dss", mpint(randomBytes(128))), "its type is none of"],
    ["a security key", line("sk-ssh-ed25519@openssh.com", string(randomBytes(32)), string("ssh:")), "its type is none of"],
    ["a certificate", line("ssh-ed25519-cert-v01@openssh.com", string("x")), "it is a certificate; give the plain key"],
    ["Ed25519 of 31 bytes", line("ssh-ed25519", string(randomBytes(31))), "an Ed25519 key has 32 bytes"],
    ["Ed25519 with more behind it", line("ssh-ed25519", string(randomBytes(32)), u32(0)), "bytes follow its end"],
    ["a length beyond its end", line("ssh-ed25519", u32(0xffff_ffff)), "it is cut off"],
    ["nothing behind its type", line("ssh-ed25519"), "it is cut off"],
    ["a curve that is not its type's", line("ecdsa-sha2-nistp256", string("nistp384"), string(full)), "it names another curve"],
    [
      "a compressed point",
      line("ecdsa-sha2-nistp256", string("nistp256"), string(Buffer.concat([Buffer.of(2), p256.x]))),
      "its point is not",
    ],
    ["the point at infinity", line("ecdsa-sha2-nistp256", string("nistp256"), string(Buffer.of(0))), "its point is not written in full"],
    [
      "a point beside the curve",
      line("ecdsa-sha2-nistp256", string("nistp256"), string(Buffer.concat([Buffer.of(4), p256.y, p256.x]))),
      "its point is not on its curve",
    ],
    ["RSA of 1024 bits", lineOf1024(), "an RSA key has 2048 to 8192 bits; this one has 1024"],
    [
      "RSA of 2047 bits",
      line("ssh-rsa", mpint(Buffer.of(1, 0, 1)), mpint(odd(Buffer.concat([Buffer.of(0x40), randomBytes(255)])))),
      "this one has 2047",
    ],
    [
      "RSA of 16384 bits",
      line("ssh-rsa", mpint(Buffer.of(1, 0, 1)), mpint(odd(Buffer.concat([Buffer.of(0x80), randomBytes(2047)])))),
      "this one has 16384",
    ],
    [
      "RSA with an even modulus",
      line("ssh-rsa", mpint(Buffer.of(1, 0, 1)), mpint(Buffer.concat([Buffer.of(0x80), Buffer.alloc(255)]))),
      "not those of an RSA key",
    ],
    ["RSA with exponent 1", line("ssh-rsa", mpint(Buffer.of(1)), modulus()), "not those of an RSA key"],
    ["RSA with an even exponent", line("ssh-rsa", mpint(Buffer.of(1, 0)), modulus()), "not those of an RSA key"],
    ["RSA with no exponent", line("ssh-rsa", string(""), modulus()), "a number in it is not positive"],
    ["RSA with a negative exponent", line("ssh-rsa", string(Buffer.of(0x81)), modulus()), "a number in it is not positive"],
    ["RSA with a padded exponent", line("ssh-rsa", string(Buffer.of(0, 3)), modulus()), "a number in it is padded"],
    [
      "RSA with an endless exponent",
      line("ssh-rsa", mpint(Buffer.concat([Buffer.of(1), Buffer.alloc(8), Buffer.of(1)])), modulus()),
      "not those of an RSA key",
    ],
  ])("that is %s is refused", (_, text, message) => {
    expect(wrong(text)).toContain(message);
  });

  it("is refused whichever byte of it is missing, and never reads beyond its end", () => {
    const blob = publicKeyOf(rsa2048).blob;
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: blob.length - 1 }),
        (length) => wrong(`ssh-rsa ${blob.subarray(0, length).toString("base64")}`) !== "",
      ),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"), (bytes, type) => {
        const text = wrong(`${type} ${Buffer.concat([string(type), bytes]).toString("base64")}`);
        return text !== "" || (type === "ssh-ed25519" && bytes.length === 36);
      }),
    );
  });
});

function modulus(): Buffer {
  return mpint(Buffer.from(createPublicKey(rsa2048).export({ format: "jwk" }).n ?? "", "base64url"));
}
function odd(bytes: Buffer): Buffer {
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 1;
  return bytes;
}
function lineOf1024(): string {
  const { n, e } = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({ format: "jwk" });
  return line("ssh-rsa", mpint(Buffer.from(e ?? "", "base64url")), mpint(Buffer.from(n ?? "", "base64url")));
}

function portsHolding(reference: string, text: string): TestPorts {
  const ports = targetPorts(systemClock);
  ports.secrets.set(reference, text);
  return ports;
}

describe("a number on the wire", () => {
  it("is positive and has one form, both ways", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        const written = mpint(bytes);
        const hex = Buffer.from(bytes).toString("hex");
        if (bytes.every((byte) => byte === 0)) return written.equals(u32(0));
        return BigInt(`0x${new Reader(written).mpint().toString("hex")}`) === BigInt(`0x${hex}`);
      }),
    );
  });
});

describe("a private key", () => {
  const kinds: readonly (readonly [string, () => KeyObject])[] = [
    ["ed25519", ed25519],
    ["nistp256", () => ec("P-256")],
    ["nistp521", () => ec("P-521")],
    ["rsa", () => rsa2048],
  ];
  it.each(kinds)("of a supplied CA (%s) signs what its public key verifies, and can sign certificates", (name, make) => {
    const key = make();
    const ca = caKey(key.export({ format: "pem", type: "pkcs8" }).toString());
    expect(ca.publicKey).toEqual(publicKeyOf(key));
    const signature = new Reader(ca.sign(Buffer.from("data")));
    const [algorithm, bytes] = [signature.text(), signature.string()];
    if (name === "ed25519") expect(verify(null, Buffer.from("data"), createPublicKey(key), bytes)).toBe(true);
    if (name === "rsa") {
      expect(algorithm).toBe("rsa-sha2-512");
      expect(verify("sha512", Buffer.from("data"), createPublicKey(key), bytes)).toBe(true);
    }
  });

  it("of our own making is read again as it was written", () => {
    for (let index = 0; index < 20; index++) {
      const made = makeKeyPair("x".repeat(index));
      expect(publicKeyOf(readPrivateKey(made.privateKey))).toEqual(made.publicKey);
    }
  });

  it.each([
    ["nothing", "", "it is no private key that can be read"],
    ["a public key", good, "it is no private key that can be read"],
    ["PEM of nothing", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "it is no private key that can be read"],
    [
      "OpenSSH's armour around something else",
      "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
      "it is no OpenSSH private key",
    ],
    ["protected PEM", ed25519().export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "x" }).toString(), "passphrase"],
    ["X25519", generateKeyPairSync("x25519").privateKey.export({ format: "pem", type: "pkcs8" }).toString(), "its type is none of"],
    ["another curve", ec("secp256k1").export({ format: "pem", type: "pkcs8" }).toString(), "its type is none of"],
    ["short RSA", rsa(1024).export({ format: "pem", type: "pkcs8" }).toString(), "this one has 1024"],
  ])("that is %s is refused, with what is wrong", (_, text, message) => {
    expect(() => readPrivateKey(text)).toThrow(MalformedKey);
    expect(() => readPrivateKey(text)).toThrow(message);
  });

  it("whose parts belong to two keys is refused: what it signs, nobody could verify", () => {
    const [mine, theirs] = [ed25519(), ed25519()];
    const body = Buffer.from(writePrivateKey(mine, "x").replaceAll(/-----[A-Z ]+-----|\s/g, ""), "base64");
    const swapped = Buffer.from(body);
    publicKeyOf(theirs).blob.copy(swapped, swapped.indexOf(publicKeyOf(mine).blob));
    const text = `-----BEGIN OPENSSH PRIVATE KEY-----\n${swapped.toString("base64")}\n-----END OPENSSH PRIVATE KEY-----\n`;
    expect(() => readPrivateKey(text)).toThrow("its private part does not belong to its public one");
  });
});

withSsh("ssh-keygen and we", () => {
  it.each([
    ["ed25519", []],
    ["ecdsa", ["-b", "256"]],
    ["ecdsa", ["-b", "384"]],
    ["ecdsa", ["-b", "521"]],
    ["rsa", ["-b", "3072"]],
  ])("agree on a CA key of type %s %p: its public part, its fingerprint, its signature", async (type, more) => {
    await using files = await desk();
    const path = `${files.folder}/ca`;
    await files.keygen("-q", "-t", type, ...more, "-N", "", "-C", "the CA", "-f", path);
    const ca = caKey(await files.read("ca"));
    expect(ca.publicKey).toEqual(parsePublicKey(await files.read("ca.pub")));
    expect((await files.keygen("-l", "-f", `${path}.pub`)).out).toContain(` ${ca.fingerprint} `);
    expect(fingerprintOf(ca.publicKey)).toBe(ca.fingerprint);
    const issuer = openSsh({ ca: { key: "file:ca" } }, portsHolding("file:ca", await files.read("ca")));
    const { issued } = await issueWith(issuer);
    const shown = await files.keygen("-L", "-f", await files.put("id-cert.pub", issued.credential.token.reveal()));
    expect(shown.out).toContain(`Signing CA: ${type.toUpperCase()} ${ca.fingerprint}`);
  });

  it("do not open what a passphrase protects", async () => {
    await using files = await desk();
    await files.keygen("-q", "-t", "ed25519", "-N", "secret", "-f", `${files.folder}/ca`);
    const text = await files.read("ca");
    expect(() => readPrivateKey(text)).toThrow("it is protected by a passphrase; take that off with ssh-keygen -p -N ''");
  });
});
