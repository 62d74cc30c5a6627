import { createCipheriv, createDecipheriv, hash, randomBytes } from "node:crypto";
import { StintError } from "../domain/errors.ts";
import { Secret } from "../domain/secret.ts";

/** What a sealed value is for. Bound into it, so that one kind can never be opened as another. */
export type SealPurpose = "signing-key" | "task-secret" | "revocation-handle" | "target-secret";

/** Seals secrets at rest with AES-256-GCM. The first master key seals, all of them open. */
export interface Sealer {
  /** `v1.<keyId>.<iv>.<ciphertext and tag>`, bound to its purpose and to the record that holds it. */
  seal(purpose: SealPurpose, recordId: string, plain: Secret): string;
  /** Throws `server_error` for anything that was not sealed here for this purpose and record. */
  open(purpose: SealPurpose, recordId: string, sealed: string): Secret;
  /** Whether the value is sealed under another key than the one that seals now. */
  needsReseal(sealed: string): boolean;
  /** Id of the key that seals now: the first 8 hex digits of its SHA-256. */
  readonly keyId: string;
}

interface MasterKey {
  readonly id: string;
  readonly key: Buffer;
}

const IV_BYTES = 12;
const TAG_BYTES = 16;
/** A sealed value longer than this was not written by us. */
const MAX_SEALED = 64 * 1024;
const SHAPE = /^v1\.([0-9a-f]{8})\.([A-Za-z0-9_-]{16})\.([A-Za-z0-9_-]{22,})$/;

/** `STINT_MASTER_KEY`: one or more keys of 32 bytes in base64, separated by commas. Throws `invalid_request`, never with a value in it. */
export function parseMasterKeys(text: Secret): readonly Buffer[] {
  const parts = text
    .reveal()
    .split(",")
    .map((part) => part.trim());
  const keys = parts.map((part, index) => {
    const key = /^[A-Za-z0-9+/]{43}=?$/.test(part) ? Buffer.from(part, "base64") : Buffer.alloc(0);
    if (key.length !== 32) {
      throw new StintError(
        "invalid_request",
        `Master key ${index + 1} of ${parts.length} is not 32 bytes in base64. Make one with: openssl rand -base64 32`,
      );
    }
    return key;
  });
  if (new Set(keys.map((key) => key.toString("hex"))).size !== keys.length) {
    throw new StintError("invalid_request", "The same master key is listed twice. List each once; the first one seals.");
  }
  return keys;
}

/** A new master key, as `STINT_MASTER_KEY` takes it. */
export const newMasterKey = (): Secret => new Secret(randomBytes(32).toString("base64"));

/**
 * A sealer over these master keys. Nonces are random: one master key is good for 2^32 values (NIST SP 800-38D section 8.3),
 * which no broker comes near before its next rotation.
 */
export function createSealer(keys: readonly Buffer[]): Sealer {
  const masters: readonly MasterKey[] = keys.map((key) => ({ id: hash("sha256", key, "hex").slice(0, 8), key }));
  const [first] = masters;
  if (first === undefined) throw new StintError("invalid_request", "There is no master key. Set STINT_MASTER_KEY.");
  return {
    keyId: first.id,
    seal: (purpose, recordId, plain) => sealWith(first, purpose, recordId, plain),
    open: (purpose, recordId, sealed) => openWith(masters, purpose, recordId, sealed),
    needsReseal: (sealed) => SHAPE.exec(sealed)?.[1] !== first.id,
  };
}

function sealWith(master: MasterKey, purpose: SealPurpose, recordId: string, plain: Secret): string {
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv("aes-256-gcm", master.key, iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(boundTo(purpose, recordId));
  const body = Buffer.concat([cipher.update(plain.reveal(), "utf8"), cipher.final(), cipher.getAuthTag()]);
  return `v1.${master.id}.${iv.toString("base64url")}.${body.toString("base64url")}`;
}

function openWith(masters: readonly MasterKey[], purpose: SealPurpose, recordId: string, sealed: string): Secret {
  const [, id, iv, text] = (sealed.length <= MAX_SEALED && SHAPE.exec(sealed)) || [];
  if (id === undefined || iv === undefined || text === undefined) throw broken(purpose, "it is not in the form that Stint writes");
  const master = masters.find((candidate) => candidate.id === id);
  if (master === undefined) {
    throw broken(
      purpose,
      `it was sealed under master key ${id}, which is not among those configured: add that key to the end of STINT_MASTER_KEY`,
    );
  }
  const body = Buffer.from(text, "base64url");
  const decipher = createDecipheriv("aes-256-gcm", master.key, Buffer.from(iv, "base64url"), { authTagLength: TAG_BYTES });
  decipher.setAAD(boundTo(purpose, recordId));
  decipher.setAuthTag(body.subarray(body.length - TAG_BYTES));
  try {
    return new Secret(Buffer.concat([decipher.update(body.subarray(0, body.length - TAG_BYTES)), decipher.final()]).toString("utf8"));
  } catch (cause) {
    throw broken(purpose, "it was altered, or it belongs to another record", cause);
  }
}

const boundTo = (purpose: SealPurpose, recordId: string): Buffer => Buffer.from(`stint v1\0${purpose}\0${recordId}`, "utf8");

const broken = (purpose: SealPurpose, why: string, cause?: unknown): StintError =>
  new StintError("server_error", `A sealed ${purpose.replace("-", " ")} could not be opened: ${why}.`, {}, { cause });
