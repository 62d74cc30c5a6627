import { createPublicKey, hash, sign, verify, type KeyObject } from "node:crypto";

/**
 * Signed notes as C2SP defines them (c2sp.org/signed-note), with Ed25519: text, an empty line, and lines of an em dash, the key's
 * name, and base64 of the key's 4-byte id and the signature.
 */
export interface NoteVerifier {
  readonly name: string;
  /** 8 hex digits: the first 4 bytes of SHA-256(name, newline, 0x01, public key). */
  readonly id: string;
  readonly publicKey: KeyObject;
}

const ED25519 = Buffer.from([1]);
/** DER of SubjectPublicKeyInfo before the 32 bytes of an Ed25519 key (RFC 8410 section 4). */
const SPKI = Buffer.from("302a300506032b6570032100", "hex");

export function noteVerifier(name: string, publicKey: KeyObject): NoteVerifier {
  let made = VERIFIERS.get(publicKey);
  if (made?.name !== name) VERIFIERS.set(publicKey, (made = { name, publicKey, id: keyId(name, rawKey(publicKey)) }));
  return made;
}

/** A key is asked for with every checkpoint. */
const VERIFIERS = new WeakMap<KeyObject, NoteVerifier>();

/** The verifier as one line of text, `name+id+key`: what an auditor keeps apart from the files. */
export const verifierText = (verifier: NoteVerifier): string =>
  `${verifier.name}+${verifier.id}+${Buffer.concat([ED25519, rawKey(verifier.publicKey)]).toString("base64")}`;

/** Reads `name+id+key`; undefined when it is none, or its id does not fit its key. */
export function parseVerifier(text: string): NoteVerifier | undefined {
  const [, name, id, key] = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})$/.exec(text.trim()) ?? [];
  if (name === undefined || id === undefined || key === undefined) return undefined;
  const raw = Buffer.from(key, "base64");
  if (raw.length !== 33 || raw[0] !== 1 || keyId(name, raw.subarray(1)) !== id) return undefined;
  return { name, id, publicKey: createPublicKey({ key: Buffer.concat([SPKI, raw.subarray(1)]), format: "der", type: "spki" }) };
}

/** Signs a text, which ends in a newline. */
export function signNote(text: string, verifier: NoteVerifier, privateKey: KeyObject): string {
  const signature = sign(null, Buffer.from(text), privateKey);
  return `${text}\n\u2014 ${verifier.name} ${Buffer.concat([Buffer.from(verifier.id, "hex"), signature]).toString("base64")}\n`;
}

/** What came of a note: `unknown` when none of the verifiers signed it, `wrong` when a signature in the name of one does not fit. */
export type NoteCheck =
  | { readonly outcome: "good"; readonly text: string; readonly by: NoteVerifier }
  | { readonly outcome: "malformed" | "unknown" | "wrong"; readonly text: string };

/** Checks a note: unknown signatures are passed over, known ones must all fit. */
export function openNote(note: string, verifiers: readonly NoteVerifier[]): NoteCheck {
  const gap = note.lastIndexOf("\n\n");
  if (gap < 0 || !note.endsWith("\n") || note.length > 64 * 1024) return { outcome: "malformed", text: "" };
  const text = note.slice(0, gap + 1);
  let by: NoteVerifier | undefined;
  for (const line of note.slice(gap + 2, -1).split("\n")) {
    const [, name, encoded] = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/.exec(line) ?? [];
    if (name === undefined || encoded === undefined) return { outcome: "malformed", text };
    const bytes = Buffer.from(encoded, "base64");
    const known = verifiers.find((verifier) => verifier.name === name && verifier.id === bytes.subarray(0, 4).toString("hex"));
    if (known === undefined) continue;
    if (!verify(null, Buffer.from(text), known.publicKey, bytes.subarray(4))) return { outcome: "wrong", text };
    by = known;
  }
  return by === undefined ? { outcome: "unknown", text } : { outcome: "good", text, by };
}

const rawKey = (key: KeyObject): Buffer => key.export({ format: "der", type: "spki" }).subarray(SPKI.length);

function keyId(name: string, raw: Buffer): string {
  return hash("sha256", Buffer.concat([Buffer.from(`${name}\n`), ED25519, raw]), "hex").slice(0, 8);
}
