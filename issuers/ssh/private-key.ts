import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  verify,
  type JsonWebKey,
  type KeyObject,
} from "node:crypto";
import { publicKeyOf, readPublicBlob, type SshPublicKey } from "./public-key.ts";
import { MalformedKey, Reader, string, u32 } from "./wire.ts";

/** OpenSSH's own format of private keys (its PROTOCOL.key): a magic word, then what seals it, then the keys. */
const MAGIC = Buffer.from("openssh-key-v1\0");
const ARMOUR = /^\s*-----BEGIN OPENSSH PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END OPENSSH PRIVATE KEY-----\s*$/;
/** The block size of no cipher, to which the padding fills up. */
const BLOCK = 8;

/** A new Ed25519 key pair: its public part, and the private one as `ssh` reads it from a file. */
export function makeKeyPair(comment: string): { readonly publicKey: SshPublicKey; readonly privateKey: string } {
  const { privateKey } = generateKeyPairSync("ed25519");
  return { publicKey: publicKeyOf(privateKey), privateKey: writePrivateKey(privateKey, comment) };
}

/** An Ed25519 key in OpenSSH's format, without a passphrase. */
export function writePrivateKey(key: KeyObject, comment: string): string {
  const { d, x } = key.export({ format: "jwk" });
  const [seed, point] = [Buffer.from(d ?? "", "base64url"), Buffer.from(x ?? "", "base64url")];
  // The same random word twice: whoever opens a sealed key sees by it whether the passphrase was right.
  const check = randomBytes(4);
  const inner = [check, check, string("ssh-ed25519"), string(point), string(Buffer.concat([seed, point])), string(comment)];
  const length = inner.reduce((sum, part) => sum + part.length, 0);
  const padding = Buffer.from(Array.from({ length: (BLOCK - (length % BLOCK)) % BLOCK }, (_, index) => index + 1));
  const sealedBy = [string("none"), string("none"), string("")];
  const body = Buffer.concat([
    MAGIC,
    ...sealedBy,
    u32(1),
    string(publicKeyOf(key).blob),
    string(Buffer.concat([...inner, padding])),
  ]).toString("base64");
  const lines = body.match(/.{1,70}/g) ?? [];
  return ["-----BEGIN OPENSSH PRIVATE KEY-----", ...lines, "-----END OPENSSH PRIVATE KEY-----", ""].join("\n");
}

/** A private key from a file: OpenSSH's format, PKCS#8, PKCS#1 or SEC 1 in PEM, without a passphrase. Throws `MalformedKey`. */
export function readPrivateKey(text: string): KeyObject {
  const armoured = ARMOUR.exec(text);
  if (armoured === null) {
    if (/ENCRYPTED/.test(text)) throw new MalformedKey("it is protected by a passphrase; take that off with ssh-keygen -p -N ''");
    const key = imported({ key: text, format: "pem" });
    publicKeyOf(key); // refuses the kinds and sizes that we do not sign with
    return matching(key, createPublicKey(key));
  }
  const reader = new Reader(Buffer.from(armoured[1] ?? "", "base64"));
  if (!reader.take(MAGIC.length).equals(MAGIC)) throw new MalformedKey("it is no OpenSSH private key");
  if (reader.text() !== "none") throw new MalformedKey("it is protected by a passphrase; take that off with ssh-keygen -p -N ''");
  reader.string();
  reader.string();
  if (reader.u32() !== 1) throw new MalformedKey("it holds more than one key");
  const { type, jwk } = readPublicBlob(reader.string());
  const inner = new Reader(reader.string());
  inner.take(8);
  if (inner.text() !== type) throw new MalformedKey("its private part is of another type than its public one");
  return matching(
    imported({ key: { ...jwk, ...privateNumbers(type, inner) }, format: "jwk" }),
    createPublicKey({ key: jwk, format: "jwk" }),
  );
}

/** A key whose private part does not belong to its public one would sign what nobody can verify. */
function matching(privateKey: KeyObject, publicKey: KeyObject): KeyObject {
  const algorithm = publicKey.asymmetricKeyType === "ed25519" ? null : "sha256";
  const probe = randomBytes(32);
  if (!verify(algorithm, probe, publicKey, sign(algorithm, probe, privateKey)))
    throw new MalformedKey("its private part does not belong to its public one");
  return privateKey;
}

type Import = Parameters<typeof createPrivateKey>[0];
function imported(key: Exclude<Import, string | Buffer>): KeyObject {
  try {
    return createPrivateKey(key);
  } catch (cause) {
    throw new MalformedKey("it is no private key that can be read", { cause });
  }
}

/** What a private key has beside its public one, as JSON Web Key (RFC 7518 section 6). */
function privateNumbers(type: string, inner: Reader): JsonWebKey {
  if (type === "ssh-ed25519") {
    inner.string();
    return { d: inner.string().subarray(0, 32).toString("base64url") };
  }
  if (type === "ssh-rsa") {
    inner.mpint();
    inner.mpint();
    const [d, qi, p, q] = [inner.mpint(), inner.mpint(), inner.mpint(), inner.mpint()];
    return { ...mapped({ d, p, q, qi }), dp: lessOne(d, p), dq: lessOne(d, q) };
  }
  inner.string();
  const size = ((inner.string().length - 1) / 2) | 0;
  const d = inner.mpint();
  return { d: Buffer.concat([Buffer.alloc(Math.max(0, size - d.length)), d]).toString("base64url") };
}

const mapped = (numbers: Readonly<Record<string, Buffer>>): JsonWebKey =>
  Object.fromEntries(Object.entries(numbers).map(([name, bytes]) => [name, bytes.toString("base64url")]));

/** d mod (p - 1), which OpenSSH leaves out. */
function lessOne(d: Buffer, p: Buffer): string {
  const number = (bytes: Buffer): bigint => BigInt(`0x${bytes.toString("hex")}`);
  const hex = (number(d) % (number(p) - 1n)).toString(16);
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex").toString("base64url");
}
