import type { AccessTokenClaims } from "./claims.ts";
import { systemClock, type VerifierClock } from "./clock.ts";
import { VerifyError } from "./errors.ts";
import { fetchText, type Fetch } from "./http.ts";
import { isObject } from "./json.ts";
import { RemoteKeys } from "./keys.ts";
import { consoleLog, guarded, type VerifierLog } from "./log.ts";
import { isOrigin } from "./origin.ts";
import { statusAt } from "./status-bits.ts";
import { readStatusToken, type StatusList } from "./status-token.ts";

export interface StatusListsOptions {
  /** Issuer of the tokens and of their lists; lists are fetched from its origin and from nowhere else. */
  readonly issuer: string;
  /** Signature algorithms that are accepted: `ES256`, `RS256` and `Ed25519` by default. */
  readonly algorithms?: readonly string[];
  /** How large a list may be once it is opened: 4 MiB by default. */
  readonly maxBytes?: number;
  /** How many lists are kept: 100 by default. */
  readonly maxLists?: number;
  readonly fetch?: Fetch;
  readonly clock?: VerifierClock;
  readonly log?: VerifierLog;
}

interface Kept {
  readonly list: StatusList;
  /** Seconds, of its fetching. */
  readonly at: number;
}

const TOLERANCE_SECONDS = 30;
const TIMEOUT_MS = 5_000;
/** A list that could not be had is asked for again after this long, however many need it. */
const COOLDOWN_SECONDS = 1;
/** Nothing is believed for longer than this after it was fetched, whatever it says of itself. */
const MAX_KEPT_SECONDS = 3_600;

/**
 * Checks tokens against Token Status Lists (draft-ietf-oauth-status-list-21), for servers that have no feed. A verifier with
 * `revocation: "status_list"` has one; behind a verification of another kind: `await lists.check(payload)`. What cannot be known is refused.
 */
export class StatusLists {
  readonly #options: Required<Omit<StatusListsOptions, "log">> & { readonly log: VerifierLog };
  readonly #keys: RemoteKeys;
  readonly #kept = new Map<string, Kept>();
  readonly #fetching = new Map<string, Promise<StatusList>>();
  readonly #failed = new Map<string, number>();

  /** Throws TypeError for options that cannot be. */
  constructor({ issuer, algorithms = ["ES256", "RS256", "Ed25519"], maxBytes = 4_194_304, maxLists = 100, ...more }: StatusListsOptions) {
    if (!isOrigin(issuer)) throw new TypeError("issuer must be an origin such as https://stint.example.com");
    const { fetch = (input: string, init?: RequestInit) => globalThis.fetch(input, init), clock = systemClock(), log = consoleLog } = more;
    this.#options = { issuer, algorithms, maxBytes, maxLists, fetch, clock, log: guarded(log) };
    this.#keys = new RemoteKeys(this.#options);
  }

  /** Throws VerifyError: `revoked` for any status but valid, `status_refused` for a token without a place, `status_unavailable`. */
  async check(claims: AccessTokenClaims): Promise<void> {
    const lease = claims.lease_id;
    const { index, uri } = this.#reference(claims);
    const list = await this.#list(uri).catch((cause: unknown) => {
      const detail = cause instanceof Error ? cause.message : "unknown";
      throw new VerifyError("status_unavailable", { lease, detail, headers: { "retry-after": "1" }, cause });
    });
    const status = statusAt(list.statuses, list.size, index);
    if (status === undefined) throw new VerifyError("status_refused", { lease, detail: "its index is beyond its list" });
    if (status !== 0) throw new VerifyError("revoked", { lease, detail: `by its status list (${status})` });
  }

  #reference({ status, lease_id: lease }: AccessTokenClaims): { readonly index: number; readonly uri: string } {
    const reference = isObject(status) ? status["status_list"] : undefined;
    const { idx, uri } = isObject(reference) ? reference : {};
    const { issuer } = this.#options;
    if (typeof idx !== "number" || !Number.isSafeInteger(idx) || idx < 0 || typeof uri !== "string" || uri.length > 512)
      throw new VerifyError("status_refused", { lease, detail: "it names no place in a list" });
    // a token of ours names a list of ours; the prefix ends with a slash, so that it ends the origin too
    if (!uri.startsWith(`${issuer}/`) || !URL.canParse(uri) || new URL(uri).href !== uri)
      throw new VerifyError("status_refused", { lease, detail: "its list is not its issuer's" });
    return { index: idx, uri };
  }

  async #list(uri: string): Promise<StatusList> {
    const now = this.#now();
    const kept = this.#kept.get(uri);
    if (kept !== undefined && now >= kept.at && now < kept.at + kept.list.ttl && isGood(kept, now)) return kept.list;
    let fetching = this.#fetching.get(uri);
    if (fetching === undefined) {
      if (now < (this.#failed.get(uri) ?? 0)) return this.#last(uri, new Error("it could not be had a moment ago"));
      if (this.#fetching.size >= this.#options.maxLists) throw new Error("too many lists are being fetched");
      fetching = this.#fetch(uri).finally(() => this.#fetching.delete(uri));
      this.#fetching.set(uri, fetching);
    }
    return fetching;
  }

  async #fetch(uri: string): Promise<StatusList> {
    const { fetch, clock, issuer, algorithms, maxBytes, log } = this.#options;
    try {
      const token = await fetchText(fetch, clock, uri, {
        headers: { accept: "application/statuslist+jwt" },
        maxBytes: maxBytes * 2 + 65_536, // what does not shrink at all, in base64, and its claims
        timeoutMs: TIMEOUT_MS,
        type: /^application\/statuslist\+jwt$/,
      });
      const find = (kid: string, alg: string) => this.#keys.find(kid, alg);
      const rules = { issuer, uri, algorithms, find, now: this.#now(), toleranceSeconds: TOLERANCE_SECONDS, maxBytes };
      const list = await readStatusToken(token, rules);
      const before = this.#kept.get(uri);
      // an older one of theirs, played again, must not bring back what has ended since
      if (before !== undefined && list.iat < before.list.iat) throw new Error("it is older than the one before");
      this.#keep(uri, list);
      return list;
    } catch (error) {
      const reason = error instanceof Error ? error : new Error("unknown");
      this.#noteFailure(uri);
      log({ level: "warn", event: "status_list_failed", message: `a status list cannot be read: ${reason.message}` });
      return this.#last(uri, reason);
    }
  }

  /** The list as it was, while it may still be believed. Throws the reason otherwise. */
  #last(uri: string, reason: Error): StatusList {
    const kept = this.#kept.get(uri);
    if (kept !== undefined && kept.list.exp !== undefined && isGood(kept, this.#now())) return kept.list;
    throw reason;
  }

  #keep(uri: string, list: StatusList): void {
    this.#failed.delete(uri);
    this.#kept.delete(uri);
    this.#kept.set(uri, { list, at: this.#now() });
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > this.#options.maxLists && oldest !== undefined) this.#kept.delete(oldest);
  }

  #noteFailure(uri: string): void {
    if (this.#failed.size >= this.#options.maxLists) this.#failed.clear();
    this.#failed.set(uri, this.#now() + COOLDOWN_SECONDS);
  }

  #now(): number {
    return this.#options.clock.now() / 1000;
  }
}

/** By its own end, and by ours; a clock that went back makes it as doubtful as age. */
const isGood = ({ list, at }: Kept, now: number): boolean =>
  now >= at - TOLERANCE_SECONDS && now < at + MAX_KEPT_SECONDS && (list.exp === undefined || now < list.exp);
