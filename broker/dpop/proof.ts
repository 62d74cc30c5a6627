import { hash, timingSafeEqual } from "node:crypto";
import { compactVerify } from "jose";
import { StintError } from "../../domain/errors.ts";
import { parseJson, RefusedJson } from "../../domain/json.ts";
import type { ProofUse } from "../../domain/possession.ts";
import type { Secret } from "../../domain/secret.ts";
import { importProofKey, PROOF_ALGORITHMS, UnfitKey, type ProofKey } from "./jwk.ts";
import { comparableUri } from "./uri.ts";

export { PROOF_ALGORITHMS } from "./jwk.ts";

/** The request that a proof must have been made for. */
export interface ProvenRequest {
  readonly method: string;
  /** As we publish it: `STINT_URL` and the path, never what Host or a forwarding header says. */
  readonly url: string;
  /** The token that the proof must name by `ath`: where it stands in `Authorization: DPoP`. */
  readonly token: Secret | undefined;
  readonly now: number;
  readonly isNonce: (nonce: string) => boolean;
}

/** What a good proof says. */
export interface CheckedProof {
  readonly thumbprint: string;
  readonly use: ProofUse;
}

/** How far `iat` may be from our own time, either way. */
const WINDOW_MS = 60_000;
const MAX_PROOF = 4096;
const MAX_JTI = 256;
const COMPACT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;
const HEADER_MEMBERS: ReadonlySet<string> = new Set(["typ", "alg", "jwk", "kid"]);

type Members = Readonly<Record<string, unknown>>;

/**
 * Checks a DPoP proof in the order of RFC 9449 section 4.3; whether it was used before is for whoever acts on it. Throws
 * `invalid_dpop_proof`, or `use_dpop_nonce` for one that is good but for its nonce.
 */
export async function checkProof(proof: string, request: ProvenRequest): Promise<CheckedProof> {
  const { alg, jwk, payload } = takeApart(proof);
  const { key, thumbprint } = await keyOf(jwk, alg);
  await compactVerify(proof, key, { algorithms: [alg] }).catch((cause: unknown) => {
    throw refuse("its signature does not verify", cause);
  });
  const { jti, htm, htu, iat, nonce, ath } = payload;
  if (typeof jti !== "string" || jti === "" || jti.length > MAX_JTI) throw refuse("it has no usable jti");
  if (typeof iat !== "number" || !Number.isFinite(iat)) throw refuse("it has no iat");
  if (htm !== request.method) throw refuse("it was made for another method (htm)");
  const target = comparableUri(request.url);
  if (typeof htu !== "string" || target === undefined || comparableUri(htu) !== target) throw refuse("it was made for another URL (htu)");
  if (request.token !== undefined) checkTokenHash(ath, request.token);
  if (typeof nonce !== "string" || !request.isNonce(nonce))
    throw new StintError("use_dpop_nonce", "the proof needs the nonce of the DPoP-Nonce header");
  if (Math.abs(iat * 1000 - request.now) > WINDOW_MS) throw refuse("its iat is more than 60 seconds from our time");
  const keepMs = Math.max(1000, Math.ceil(iat * 1000 + WINDOW_MS - request.now) + 1000);
  return { thumbprint, use: { id: hash("sha256", [thumbprint, target, jti].join("\u0000"), "base64url"), keepMs } };
}

function takeApart(proof: string): { readonly alg: string; readonly jwk: unknown; readonly payload: Members } {
  if (proof.length > MAX_PROOF) throw refuse("it is longer than 4 KiB");
  // two headers arrive joined by a comma, and are neither
  const [, head, body] = COMPACT.exec(proof) ?? [];
  if (head === undefined || body === undefined) throw refuse("exactly one compact JWS is expected in the DPoP header");
  const { typ, alg, jwk, ...rest } = readObject(head, "header");
  if (typ !== "dpop+jwt") throw refuse("its typ is not dpop+jwt");
  if (typeof alg !== "string" || !PROOF_ALGORITHMS.includes(alg)) throw refuse("its algorithm is not accepted");
  if (!Object.keys(rest).every((name) => HEADER_MEMBERS.has(name))) throw refuse("its header has members that are not accepted");
  return { alg, jwk, payload: readObject(body, "payload") };
}

async function keyOf(jwk: unknown, alg: string): Promise<ProofKey> {
  try {
    return await importProofKey(jwk, alg);
  } catch (error) {
    if (error instanceof UnfitKey) throw refuse(error.message);
    throw error;
  }
}

/** RFC 9449 section 4.2: `ath` is the SHA-256 of the token, base64url. */
function checkTokenHash(ath: unknown, token: Secret): void {
  const expected = Buffer.from(hash("sha256", token.reveal(), "base64url"));
  const given = Buffer.from(typeof ath === "string" ? ath : "");
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw refuse("it was made for another token (ath)");
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function readObject(part: string, what: string): Members {
  try {
    const value = parseJson(UTF8.decode(Buffer.from(part, "base64url")));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Members;
    throw refuse(`its ${what} is no JSON object`);
  } catch (error) {
    if (error instanceof StintError) throw error;
    throw refuse(`its ${what} is refused: ${error instanceof RefusedJson ? error.message : "not UTF-8"}`);
  }
}

const refuse = (why: string, cause?: unknown): StintError =>
  new StintError("invalid_dpop_proof", `the DPoP proof is not accepted: ${why}`, {}, { cause });
