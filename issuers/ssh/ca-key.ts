import { createHash, sign, type KeyObject } from "node:crypto";
import { readPrivateKey } from "./private-key.ts";
import { publicKeyOf, type SshPublicKey } from "./public-key.ts";
import { mpint, string } from "./wire.ts";

/** A certificate authority that can sign. */
export interface CaKey {
  readonly publicKey: SshPublicKey;
  /** `SHA256:...`, as `ssh-keygen -l` prints it. */
  readonly fingerprint: string;
  /** A signature as certificates hold it: the algorithm's name and its bytes (RFC 4253 6.6, RFC 5656 3.1.2, RFC 8332, RFC 8709). */
  sign(data: Buffer): Buffer;
}

/** Reads the private key of a CA from PEM or OpenSSH's format. Throws `MalformedKey`. */
export function caKey(privateText: string): CaKey {
  const key = readPrivateKey(privateText);
  const publicKey = publicKeyOf(key);
  return { publicKey, fingerprint: fingerprintOf(publicKey), sign: (data) => signature(key, publicKey.type, data) };
}

export const fingerprintOf = ({ blob }: Pick<SshPublicKey, "blob">): string =>
  `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;

const ECDSA_HASHES: Readonly<Record<string, string>> = {
  "ecdsa-sha2-nistp256": "sha256",
  "ecdsa-sha2-nistp384": "sha384",
  "ecdsa-sha2-nistp521": "sha512",
};

function signature(key: KeyObject, type: string, data: Buffer): Buffer {
  if (type === "ssh-ed25519") return Buffer.concat([string(type), string(sign(null, data, key))]);
  // RFC 8332: with SHA-1, as `ssh-rsa` stands for in a signature, no sshd of today accepts it.
  if (type === "ssh-rsa") return Buffer.concat([string("rsa-sha2-512"), string(sign("sha512", data, key))]);
  const raw = sign(ECDSA_HASHES[type] ?? "sha512", data, { key, dsaEncoding: "ieee-p1363" });
  const half = raw.length / 2;
  return Buffer.concat([string(type), string(Buffer.concat([mpint(raw.subarray(0, half)), mpint(raw.subarray(half))]))]);
}
