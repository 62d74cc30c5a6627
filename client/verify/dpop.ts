import { compactVerify } from "jose";
import { BoundedCache } from "./cache.ts";
import { systemClock } from "./clock.ts";
import type { Confirmation, Proof, ProofAnswer } from "./confirmation.ts";
import { sha256 } from "./digest.ts";
import { PROOF_ALGORITHMS, readProofKey, type ProofKey } from "./dpop-key.ts";
import { Nonces } from "./dpop-nonce.ts";
import { VerifyError } from "./errors.ts";
import { parseObject, type JsonObject } from "./json.ts";
import { SpentProofs } from "./spent-proofs.ts";

export interface DpopOptions {
  /** Where clients reach this server, such as `https://api.example.com`: what `htu` is compared with, whatever Host says. */
  readonly origin: string;
  /** Algorithms of proofs; all that can be checked by default. */
  readonly algorithms?: readonly string[];
  /** Ask for a nonce of ours in every proof (RFC 9449 section 9). A text is a secret shared with servers that stand for this one. */
  readonly nonce?: boolean | string;
  /** How many used proofs are remembered: 100,000 by default, a few tens of megabytes at most. */
  readonly maxProofs?: number;
  readonly now?: () => number;
}

/** How far `iat` may be from our time, either way. */
const WINDOW_MS = 60_000;
const MAX_PROOF = 4096;
const MAX_JTI = 128;
const MAX_URL = 8192;
const COMPACT = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/;
const HEADER_MEMBERS: ReadonlySet<string> = new Set(["typ", "alg", "jwk", "kid"]);
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Checks DPoP proofs (RFC 9449 section 4.3) of tokens with `cnf.jkt`: give it to a verifier as one of its `confirmations`. A proof
 * is good once, for one method, one URL and one token. Throws TypeError for options that cannot be.
 */
export function dpop(options: DpopOptions): Confirmation {
  const check = new ProofCheck(options);
  return {
    method: "jkt",
    scheme: "DPoP",
    challenge: check.challenge,
    confirm: (proof) => check.confirm(proof),
  };
}

class ProofCheck {
  readonly challenge: Readonly<Record<string, string>>;
  readonly #origin: string;
  readonly #algorithms: readonly string[];
  readonly #nonces: Nonces | undefined;
  readonly #spent: SpentProofs;
  readonly #now: () => number;
  /** A client sends the same header with every proof: its key is imported once. */
  readonly #keys = new BoundedCache<ProofKey>(1_000, 4_000_000);

  constructor({ origin, algorithms = PROOF_ALGORITHMS, nonce = false, maxProofs = 100_000, now }: DpopOptions) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin)
      throw new TypeError("origin must be an origin such as https://api.example.com, without a path or a slash at its end");
    const wrong = algorithms.find((alg) => !PROOF_ALGORITHMS.includes(alg));
    if (wrong !== undefined || algorithms.length === 0) throw new TypeError(`algorithms must be some of ${PROOF_ALGORITHMS.join(", ")}`);
    this.#origin = origin;
    this.#algorithms = algorithms;
    this.#nonces = nonce === false ? undefined : new Nonces(nonce === true ? undefined : nonce);
    this.#spent = new SpentProofs(maxProofs);
    const clock = now === undefined ? systemClock() : { now };
    this.#now = () => clock.now();
    this.challenge = { algs: algorithms.join(" ") };
  }

  async confirm({ expected, claims, presentation }: Proof): Promise<ProofAnswer> {
    const lease = claims.lease_id;
    const proof = presentation.header?.("dpop") ?? "";
    const { key, payload } = await this.#open(proof, lease);
    if (key.thumbprint !== expected) throw this.#refuse(lease, "the proof is of another key", "invalid_token");
    const { jti, htm, htu, iat, ath, nonce } = payload;
    if (typeof jti !== "string" || jti === "" || jti.length > MAX_JTI) throw this.#refuse(lease, "the proof has no usable jti");
    if (typeof iat !== "number" || !Number.isFinite(iat)) throw this.#refuse(lease, "the proof has no iat");
    if (presentation.method === undefined || htm !== presentation.method)
      throw this.#refuse(lease, "the proof is for another method (htm)");
    const target = this.#target(presentation.url);
    if (target === undefined || typeof htu !== "string" || comparable(htu) !== target)
      throw this.#refuse(lease, "the proof is for another URL (htu)");
    if (ath !== (await sha256(presentation.token))) throw this.#refuse(lease, "the proof is for another token (ath)");
    const now = this.#now();
    const answer = await this.#answer(now);
    if (this.#nonces !== undefined && !(await this.#nonces.isCurrent(nonce, now)))
      throw this.#refuse(lease, "the proof needs our nonce", "use_dpop_nonce", answer);
    if (Math.abs(iat * 1000 - now) > WINDOW_MS)
      throw this.#refuse(lease, "the proof's iat is too far from our time", "invalid_dpop_proof", answer);
    if (!this.#spent.spend(`${key.thumbprint} ${target} ${jti}`, iat * 1000 + WINDOW_MS, now))
      throw this.#refuse(lease, "the proof was used before", "invalid_dpop_proof", answer);
    return answer;
  }

  async #open(proof: string, lease: string): Promise<{ readonly key: ProofKey; readonly payload: JsonObject }> {
    // two headers arrive joined by a comma, and are neither
    const [, head, body] = (proof.length <= MAX_PROOF && COMPACT.exec(proof)) || [];
    if (head === undefined || body === undefined) throw this.#refuse(lease, "exactly one proof is expected in the DPoP header");
    const key = this.#keys.get(head) ?? (await this.#readKey(head, lease));
    await compactVerify(proof, key.key, { algorithms: [key.alg] }).catch(() => {
      throw this.#refuse(lease, "the proof's signature is not valid");
    });
    return { key, payload: this.#read(body, lease) };
  }

  async #readKey(head: string, lease: string): Promise<ProofKey> {
    const { typ, alg, jwk, ...rest } = this.#read(head, lease);
    if (typ !== "dpop+jwt") throw this.#refuse(lease, "the proof's typ is not dpop+jwt");
    if (typeof alg !== "string" || !this.#algorithms.includes(alg)) throw this.#refuse(lease, "the proof's algorithm is not accepted");
    if (!Object.keys(rest).every((name) => HEADER_MEMBERS.has(name))) throw this.#refuse(lease, "the proof's header has other members");
    const key = await readProofKey(jwk, alg);
    if (typeof key === "string") throw this.#refuse(lease, key);
    this.#keys.set(head, key, head.length * 2 + 512);
    return key;
  }

  #read(part: string, lease: string): JsonObject {
    try {
      return parseObject(UTF8.decode(Uint8Array.from(atob(part.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0))));
    } catch {
      throw this.#refuse(lease, "the proof is malformed");
    }
  }

  /** The request's path and nothing else of what it says about itself: the origin is ours. */
  #target(url: string | undefined): string | undefined {
    if (url === undefined || url.length > MAX_URL || !URL.canParse(url, this.#origin)) return undefined;
    return comparable(this.#origin + new URL(url, this.#origin).pathname);
  }

  async #answer(now: number): Promise<ProofAnswer> {
    return this.#nonces === undefined ? undefined : { "dpop-nonce": await this.#nonces.current(now) };
  }

  #refuse(lease: string, detail: string, error = "invalid_dpop_proof", headers?: ProofAnswer): VerifyError {
    const more = headers === undefined ? {} : { headers };
    return new VerifyError("proof_needed", { lease, detail, error, scheme: "DPoP", challenge: this.challenge, ...more });
  }
}

/** The URI without query and fragment, in one spelling (RFC 3986 section 6.2.2); undefined for what is no http(s) URL. */
function comparable(text: string): string | undefined {
  if (text.length > MAX_URL || !URL.canParse(text)) return undefined;
  const { protocol, username, password, origin, pathname } = new URL(text);
  if ((protocol !== "https:" && protocol !== "http:") || username !== "" || password !== "") return undefined;
  return origin + pathname.replaceAll(/%[0-9A-Fa-f]{2}/g, unescaped);
}

function unescaped(escape: string): string {
  const letter = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
  return /[A-Za-z0-9._~-]/.test(letter) ? letter : escape.toUpperCase();
}
