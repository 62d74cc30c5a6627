import type { CaKey } from "./ca-key.ts";
import type { SshPublicKey } from "./public-key.ts";
import { string, u32, u64 } from "./wire.ts";

/** What a user certificate says (OpenSSH's PROTOCOL.certkeys). Times are seconds; valid while after <= now < before. */
export interface UserCertificate {
  readonly publicKey: SshPublicKey;
  readonly serial: bigint;
  readonly keyId: string;
  /** At least one: an empty list would mean anybody. */
  readonly principals: readonly string[];
  readonly validAfter: number;
  readonly validBefore: number;
  /** What a server that does not know it must refuse: `force-command`, `source-address`. */
  readonly criticalOptions: Readonly<Record<string, string>>;
  /** What is permitted; an empty value is a flag. */
  readonly extensions: Readonly<Record<string, string>>;
  /** Random, chosen by us: whoever gave the public key must not know what will be signed. */
  readonly nonce: Buffer;
}

const USER = 1;

/** The certificate signed by `ca`, as one line of a `-cert.pub` file without comment. */
export function signCertificate(certificate: UserCertificate, ca: CaKey): string {
  const { publicKey, principals } = certificate;
  if (principals.length === 0) throw new RangeError("a certificate without principals would be valid for everybody");
  const type = `${publicKey.type}-cert-v01@openssh.com`;
  const body = Buffer.concat([
    string(type),
    string(certificate.nonce),
    publicKey.fields,
    u64(certificate.serial),
    u32(USER),
    string(certificate.keyId),
    string(Buffer.concat(principals.map((principal) => string(principal)))),
    u64(BigInt(certificate.validAfter)),
    u64(BigInt(certificate.validBefore)),
    string(tuples(certificate.criticalOptions)),
    string(tuples(certificate.extensions)),
    string(""),
    string(ca.publicKey.blob),
  ]);
  return `${type} ${Buffer.concat([body, string(ca.sign(body))]).toString("base64")}`;
}

/** Pairs of name and value in the order of their names' bytes, as sshd wants them; a value is a string within a string. */
function tuples(values: Readonly<Record<string, string>>): Buffer {
  const names = Object.keys(values).toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return Buffer.concat(names.flatMap((name) => [string(name), string(values[name] === "" ? "" : string(values[name] ?? ""))]));
}
