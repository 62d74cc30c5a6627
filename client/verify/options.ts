import { durationOption, systemClock, type VerifierClock } from "./clock.ts";
import type { Confirmation } from "./confirmation.ts";
import type { Fetch } from "./http.ts";
import { consoleLog, guarded, type VerifierLog } from "./log.ts";
import { isOrigin } from "./origin.ts";

export type RevocationSource = "feed" | "introspection" | "status_list" | "none";

/** What a verifier is made of: the issuer and the audience; and for revocations its name and key, as `stint verifier add` gave them. */
export interface VerifierOptions {
  /** `STINT_URL` of the broker, byte for byte: `iss` of every token. */
  readonly issuer: string;
  /** Our own name: what must stand in `aud`, whole. */
  readonly audience: string;
  /** Name and key of the Verifier document; needed for `feed` and `introspection`. */
  readonly name?: string;
  readonly key?: string;
  /**
   * How revocations are learnt: pushed (default), asked for each time, read from the issuer's status lists, or not at all, so that a
   * token lives until its `exp`.
   */
  readonly revocation?: RevocationSource;
  /** How old knowledge may be: `"15s"` by default; a number is seconds. */
  readonly maxStaleness?: string | number;
  /** When it is older: refuse everything (default), or ask the broker about each token. */
  readonly onStale?: "deny" | "introspect";
  /** Allowance for clocks: `"30s"` by default, at most a minute. */
  readonly clockTolerance?: string | number;
  /** Signature algorithms that are accepted: `ES256`, `RS256` and `Ed25519` by default. */
  readonly algorithms?: readonly string[];
  /** Proofs of possession for tokens that are bound to a key; without one they are refused. */
  readonly confirmations?: readonly Confirmation[];
  /** Tells the broker which leases are used (default with a name and key); false: never. */
  readonly reports?: boolean;
  /** Verifications kept: 10,000 and 32 MiB by default. */
  readonly cache?: { readonly maxEntries?: number; readonly maxBytes?: number };
  /** Revoked leases held exactly, 4,000,000 by default; beyond that everything as old as the newest of them is refused. */
  readonly maxRevoked?: number;
  /** What this process calls itself among others with the same name; random by default. One that it keeps, such as its host's, is better. */
  readonly instance?: string;
  readonly fetch?: Fetch;
  readonly now?: () => number;
  /** All of time, for tests; `now` is the part of it that most need. */
  readonly clock?: VerifierClock;
  readonly log?: VerifierLog;
}

/** The options, checked and complete. */
export interface VerifierSettings {
  readonly issuer: string;
  readonly audience: string;
  readonly authorization: string;
  readonly revocation: RevocationSource;
  readonly maxStalenessMs: number;
  readonly onStale: "deny" | "introspect";
  readonly toleranceSeconds: number;
  readonly algorithms: readonly string[];
  readonly confirmations: readonly Confirmation[];
  readonly reports: boolean;
  readonly cacheEntries: number;
  readonly cacheBytes: number;
  readonly maxRevoked: number | undefined;
  readonly instance: string;
  readonly fetch: Fetch;
  readonly clock: VerifierClock;
  readonly log: VerifierLog;
}

/** Never `none`, never anything symmetric: a public key would be the secret (RFC 8725 section 2.1). */
const ASYMMETRIC = ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "Ed25519", "EdDSA"];
const INSTANCE = /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$/;
const HOUR_MS = 3_600_000;

/** Throws TypeError naming the option that is wrong, never its value where that may be secret. */
export function readOptions(options: VerifierOptions): VerifierSettings {
  const { issuer, audience, name, key, revocation = "feed", onStale = "deny", algorithms = ["ES256", "RS256", "Ed25519"] } = options;
  if (!isOrigin(issuer))
    throw new TypeError(
      "issuer must be an origin such as https://stint.example.com, without a path or a slash at its end; http on loopback only",
    );
  if (typeof audience !== "string" || audience === "")
    throw new TypeError("audience is needed: the name that tokens for this server carry in aud");
  oneOf("revocation", revocation, ["feed", "introspection", "status_list", "none"]);
  oneOf("onStale", onStale, ["deny", "introspect"]);
  const wrong = algorithms.find((alg) => !ASYMMETRIC.includes(alg));
  if (wrong !== undefined || algorithms.length === 0) throw new TypeError(`algorithms must be some of ${ASYMMETRIC.join(", ")}`);
  const known = name !== undefined && key !== undefined && name !== "" && key !== "";
  if ((revocation === "feed" || revocation === "introspection") && !known)
    throw new TypeError(`name and key are needed for revocation: "${revocation}"; stint verifier add makes them`);
  const instance = options.instance ?? `i-${crypto.randomUUID()}`;
  if (!INSTANCE.test(instance)) throw new TypeError("instance must be letters, digits and . _ : @ -, 128 at most");
  const fetch = options.fetch ?? ((input: string, init?: RequestInit) => globalThis.fetch(input, init));
  return {
    issuer,
    audience,
    authorization: known ? basic(name, key) : "",
    revocation,
    maxStalenessMs: durationOption("maxStaleness", options.maxStaleness ?? "15s", HOUR_MS),
    onStale,
    toleranceSeconds: durationOption("clockTolerance", options.clockTolerance ?? "30s", 60_000) / 1000,
    algorithms,
    confirmations: options.confirmations ?? [],
    reports: known && (options.reports ?? true),
    cacheEntries: options.cache?.maxEntries ?? 10_000,
    cacheBytes: options.cache?.maxBytes ?? 32 * 1024 * 1024,
    maxRevoked: options.maxRevoked,
    instance,
    fetch,
    clock: options.clock ?? systemClock(options.now),
    log: guarded(options.log ?? consoleLog),
  };
}

function oneOf(name: string, value: string, allowed: readonly string[]): void {
  if (!allowed.includes(value)) throw new TypeError(`${name} must be one of ${allowed.join(", ")}`);
}

/** RFC 6749 section 2.3.1: both are form-encoded first. */
function basic(name: string, key: string): string {
  const encode = (text: string): string => new URLSearchParams([["", text]]).toString().slice(1);
  return `Basic ${btoa(`${encode(name)}:${encode(key)}`)}`;
}
