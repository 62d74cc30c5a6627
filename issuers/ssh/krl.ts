import type { SshPublicKey } from "./public-key.ts";
import { mpint, string, u32, u64 } from "./wire.ts";

/** A revocation list in OpenSSH's binary form (PROTOCOL.krl). */
export interface RevocationList {
  /** Grows whenever anything in it changes. */
  readonly version: bigint;
  /** Seconds since 1970. */
  readonly generatedAt: number;
  readonly comment: string;
  /** The serials are revoked with each of these CAs. */
  readonly authorities: readonly Pick<SshPublicKey, "blob">[];
  /** In any order; doubles are one. */
  readonly serials: Iterable<bigint>;
  /** CAs of which nothing is accepted any more: SHA-256 of their keys. */
  readonly distrusted?: readonly Buffer[];
}

const MAGIC = 0x5353484b524c0a00n;
const FORMAT = 1;
const CERTIFICATES = 1;
const FINGERPRINT_SHA256 = 5;
const SERIAL_LIST = 0x20;
const SERIAL_RANGE = 0x21;
const SERIAL_BITMAP = 0x22;
/** Serials that lie this close to each other may share a bitmap: a list takes 64 bits for each. */
const NEAR = 64n;
/** A section of its own takes 21 bytes and more. */
const WORTH_A_SECTION = 3;
/** Bits of one bitmap: OpenSSH reads no number of more than 2048 bytes, and refuses the whole list for one. */
const LONGEST_BITMAP = 16_384n;

/** The list as a file. One without serials is valid: an empty file would not be, and sshd would refuse every certificate. */
export function writeKrl(list: RevocationList): Buffer {
  const header = [u64(MAGIC), u32(FORMAT), u64(list.version), u64(BigInt(list.generatedAt)), u64(0n), string(""), string(list.comment)];
  // 0 stands for no serial; a list that names it is one that OpenSSH cannot read
  const serials = BigUint64Array.from(new Set(list.serials))
    .filter((serial) => serial > 0n)
    .sort();
  const body = serials.length === 0 ? undefined : Buffer.concat(sections(serials));
  const certificates = body === undefined ? [] : list.authorities.map(({ blob }) => section(CERTIFICATES, string(blob), string(""), body));
  const hashes = (list.distrusted ?? []).toSorted((a, b) => Buffer.compare(a, b));
  const keys = hashes.length === 0 ? [] : [section(FINGERPRINT_SHA256, ...hashes.map((hash) => string(hash)))];
  return Buffer.concat([...header, ...certificates, ...keys]);
}

const section = (type: number, ...data: readonly Buffer[]): Buffer => Buffer.concat([Buffer.of(type), string(Buffer.concat(data))]);

/** Sorted serials in whichever of the three encodings takes least: together as a list, but close ones as ranges and bitmaps. */
function sections(serials: BigUint64Array): readonly Buffer[] {
  const listed: bigint[] = [];
  const dense: Buffer[] = [];
  for (const cluster of clusters(serials)) {
    const asList = cluster.length * 8;
    const best = cluster.length < WORTH_A_SECTION ? undefined : (range(cluster) ?? bitmap(cluster));
    if (best !== undefined && best.length < asList) dense.push(best);
    else listed.push(...cluster);
  }
  if (listed.length === 0) return dense;
  const bytes = Buffer.alloc(listed.length * 8);
  listed.forEach((serial, index) => bytes.writeBigUInt64BE(serial, index * 8));
  return [section(SERIAL_LIST, bytes), ...dense];
}

/** Runs of serials with small gaps between them. */
function clusters(serials: BigUint64Array): readonly (readonly bigint[])[] {
  const found: bigint[][] = [];
  let current: bigint[] = [];
  for (const serial of serials) {
    const [first, last] = [current[0], current.at(-1)];
    const near = first !== undefined && last !== undefined && serial - last <= NEAR && serial - first < LONGEST_BITMAP;
    // A long run without a gap is a range; what follows after a gap would only spoil it.
    const endsRun =
      near && last !== undefined && serial - last > 1n && BigInt(current.length) === last - first + 1n && current.length > 256;
    if (near && !endsRun) current.push(serial);
    else found.push((current = [serial]));
  }
  return found;
}

function range(cluster: readonly bigint[]): Buffer | undefined {
  const [first, last] = [cluster[0] ?? 0n, cluster.at(-1) ?? 0n];
  return last - first + 1n === BigInt(cluster.length) ? section(SERIAL_RANGE, u64(first), u64(last)) : undefined;
}

/** Bit N stands for the first serial plus N; the number is written big-endian. */
function bitmap(cluster: readonly bigint[]): Buffer {
  const [first, last] = [cluster[0] ?? 0n, cluster.at(-1) ?? 0n];
  const bytes = Buffer.alloc(Number((last - first) / 8n) + 1);
  for (const serial of cluster) {
    const bit = Number(serial - first);
    const at = bytes.length - 1 - (bit >> 3);
    bytes[at] = (bytes[at] ?? 0) | (1 << (bit & 7));
  }
  return section(SERIAL_BITMAP, u64(first), mpint(bytes));
}
