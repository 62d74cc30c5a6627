import { createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { MalformedKey, mpint, Reader, string } from "./wire.ts";

/** A public key as OpenSSH writes it. */
export interface SshPublicKey {
  /** `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`, ... */
  readonly type: string;
  /** What follows the type inside the key, as a certificate repeats it. */
  readonly fields: Buffer;
  /** The whole key: type and fields. */
  readonly blob: Buffer;
}

/** A line of 8192 bits of RSA takes 1.4 KB; nobody needs more. */
export const MAX_LINE = 4096;
const RSA_BITS = { least: 2048, most: 8192 };
const CURVES: Readonly<Record<string, { readonly crv: string; readonly size: number }>> = {
  nistp256: { crv: "P-256", size: 32 },
  nistp384: { crv: "P-384", size: 48 },
  nistp521: { crv: "P-521", size: 66 },
};

/** What the types are that may be asked for; in the order of preference. */
export const KEY_TYPES = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"] as const;

/**
 * Reads one line of a `.pub` file: type, base64, and a comment that is dropped. Certificates, security keys, options before the
 * type, second lines, weak RSA and everything that is not exactly one key are refused with `MalformedKey`, whose message completes
 * "the public key cannot be used: ".
 */
export function parsePublicKey(line: string): SshPublicKey {
  if (line.length > MAX_LINE) throw new MalformedKey(`it is longer than ${MAX_LINE} characters`);
  const match = /^([a-z0-9@.-]+) +([A-Za-z0-9+/]+={0,2})(?: [^\r\n\0]*)?\r?\n?$/.exec(line);
  const [, type = "", base64 = ""] = match ?? [];
  if (match === null) throw new MalformedKey("expected one line as in a .pub file: type, base64, comment");
  if (type.includes("-cert-")) throw new MalformedKey("it is a certificate; give the plain key");
  const blob = Buffer.from(base64, "base64");
  if (blob.toString("base64") !== base64) throw new MalformedKey("its base64 is not complete");
  const { jwk: _checked, ...key } = readPublicBlob(blob);
  if (key.type !== type) throw new MalformedKey("its base64 holds a key of another type than the one before it");
  return key;
}

/** A key's bytes taken apart: nothing may be missing, nothing may follow. Throws `MalformedKey`. */
export function readPublicBlob(blob: Buffer): SshPublicKey & { readonly jwk: JsonWebKey } {
  const reader = new Reader(blob);
  const type = reader.text();
  const fields = blob.subarray(blob.length - reader.left);
  return { type, fields, blob, jwk: jwkOf(type, reader) };
}

/** The key's numbers, checked: the point is on its curve, the modulus is long enough. Nothing may follow. */
function jwkOf(type: string, reader: Reader): JsonWebKey {
  if (type === "ssh-ed25519") {
    const x = reader.string();
    reader.end();
    if (x.length !== 32) throw new MalformedKey("an Ed25519 key has 32 bytes");
    return { kty: "OKP", crv: "Ed25519", x: x.toString("base64url") };
  }
  if (type === "ssh-rsa") return rsaOf(reader);
  const curve = type.startsWith("ecdsa-sha2-") ? type.slice("ecdsa-sha2-".length) : "";
  const known = Object.hasOwn(CURVES, curve) ? CURVES[curve] : undefined;
  if (known === undefined) throw new MalformedKey(`its type is none of ${KEY_TYPES.join(", ")}`);
  if (reader.text() !== curve) throw new MalformedKey("it names another curve than its type");
  const point = reader.string();
  reader.end();
  if (point.length !== 1 + 2 * known.size || point[0] !== 4) throw new MalformedKey("its point is not written in full");
  const [x, y] = [point.subarray(1, 1 + known.size), point.subarray(1 + known.size)];
  return onCurve({ kty: "EC", crv: known.crv, x: x.toString("base64url"), y: y.toString("base64url") });
}

function rsaOf(reader: Reader): JsonWebKey {
  const [e, n] = [reader.mpint(), reader.mpint()];
  reader.end();
  const bits = n.length * 8 - Math.clz32(n[0] ?? 0) + 24;
  if (bits < RSA_BITS.least || bits > RSA_BITS.most)
    throw new MalformedKey(`an RSA key has ${RSA_BITS.least} to ${RSA_BITS.most} bits; this one has ${bits}`);
  const odd = (number: Buffer): boolean => ((number.at(-1) ?? 0) & 1) === 1;
  const exponent = BigInt(`0x${e.toString("hex")}`);
  if (!odd(n) || !odd(e) || exponent < 3n || exponent >= 1n << 64n) throw new MalformedKey("its numbers are not those of an RSA key");
  return { kty: "RSA", n: n.toString("base64url"), e: e.toString("base64url") };
}

function onCurve(jwk: JsonWebKey): JsonWebKey {
  try {
    createPublicKey({ key: jwk, format: "jwk" });
  } catch (cause) {
    throw new MalformedKey("its point is not on its curve", { cause });
  }
  return jwk;
}

/** A key of node:crypto in OpenSSH's form. Throws `MalformedKey` for kinds and sizes that we would refuse from others, too. */
export function publicKeyOf(key: KeyObject): SshPublicKey {
  const jwk = key.export({ format: "jwk" });
  const bytes = (text: string | undefined): Buffer => Buffer.from(text ?? "", "base64url");
  const [type, fields] = ((): readonly [string, Buffer] => {
    if (jwk.kty === "OKP" && jwk.crv === "Ed25519") return ["ssh-ed25519", string(bytes(jwk.x))];
    if (jwk.kty === "RSA") return ["ssh-rsa", Buffer.concat([mpint(bytes(jwk.e)), mpint(bytes(jwk.n))])];
    const curve = Object.keys(CURVES).find((name) => CURVES[name]?.crv === jwk.crv);
    if (jwk.kty !== "EC" || curve === undefined) throw new MalformedKey(`its type is none of ${KEY_TYPES.join(", ")}`);
    const point = Buffer.concat([Buffer.of(4), bytes(jwk.x), bytes(jwk.y)]);
    return [`ecdsa-sha2-${curve}`, Buffer.concat([string(curve), string(point)])];
  })();
  const { jwk: _checked, ...read } = readPublicBlob(Buffer.concat([string(type), fields]));
  return read;
}

/** One line of a `.pub` file. The comment must be ours. */
export const lineOf = ({ type, blob }: Pick<SshPublicKey, "type" | "blob">, comment: string): string =>
  `${type} ${blob.toString("base64")} ${comment}`;
