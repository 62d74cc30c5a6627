import { open } from "node:fs/promises";
import type { Clock } from "../../domain/time.ts";
import type { Trust } from "../policy/policy.ts";
import { discoverKeys, sameOrigin } from "./discovery.ts";
import { type OutsideOptions, type Reach, MAX_OUTSIDE_BYTES, OUTSIDE_TIMEOUT_MS, fetchOutside } from "./fetch-outside.ts";
import { type KeySet, JwksError, readJwks } from "./jwks.ts";

/** Where a trust's keys come from. `fetch` asks once and answers the keys, or `unchanged`; it throws when there is no good answer. */
export interface KeySource {
  /** Asking costs others something: no oftener than the cooldown. */
  readonly remote: boolean;
  fetch(): Promise<KeySet | "unchanged">;
}

/** Discovery documents are read again after this long. */
const DISCOVERY_MAX_AGE_MS = 600_000;

/** The source that the trust names. */
export function keySourceOf(trust: Trust, clock: Clock, outside: OutsideOptions): KeySource {
  return trust.keys.from === "file" ? fileSource(trust, trust.keys.path) : remoteSource(trust, clock, outside);
}

function remoteSource(trust: Trust, clock: Clock, outside: OutsideOptions): KeySource {
  let found: { readonly uri: string; readonly at: number } | undefined;
  const timeoutMs = outside.timeoutMs ?? OUTSIDE_TIMEOUT_MS;

  async function whereKeysAre(): Promise<string> {
    if (trust.keys.from === "uri") return trust.keys.uri;
    const age = found ? clock() - found.at : Infinity;
    if (found && age >= 0 && age < DISCOVERY_MAX_AGE_MS) return found.uri;
    const uri = await discoverKeys(trust.issuer, trust, outside);
    found = { uri, at: clock() };
    return uri;
  }

  return {
    remote: true,
    async fetch() {
      const started = performance.now();
      const uri = await whereKeysAre();
      // One limit for both calls: a caller waits for the pair.
      const left = Math.max(1, timeoutMs - (performance.now() - started));
      const text = await fetchOutside(uri, reachKeys(trust, uri), { ...outside, timeoutMs: left });
      const keys = await readJwks(text, trust.algorithms, trust.preset === "spiffe");
      // An empty answer is a fault far oftener than a wish; a SPIFFE bundle without keys means what it says.
      if (keys.keys.length === 0 && trust.preset !== "spiffe") throw new JwksError("key set has no usable key");
      return keys;
    },
  };
}

/** The bearer goes to the issuer's own origin; elsewhere only inside a private network, where clusters publish keys by another address. */
function reachKeys(trust: Trust, uri: string): Reach {
  const own = trust.keys.from === "uri" || trust.privateNetwork || sameOrigin(trust.issuer, uri);
  return own
    ? trust
    : { privateNetwork: trust.privateNetwork, insecureHttp: trust.insecureHttp, caFile: trust.caFile, bearerFile: undefined };
}

function fileSource(trust: Trust, path: string): KeySource {
  let seen = "";
  return {
    remote: false,
    async fetch() {
      const file = await open(path, "r");
      try {
        const stat = await file.stat();
        const version = `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeMs}`;
        if (version === seen) return "unchanged";
        if (!stat.isFile() || stat.size > MAX_OUTSIDE_BYTES) throw new JwksError("key file is not a plain file of at most 256 KiB");
        const buffer = Buffer.alloc(MAX_OUTSIDE_BYTES + 1);
        const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
        if (bytesRead > MAX_OUTSIDE_BYTES) throw new JwksError("key file is longer than 256 KiB");
        const keys = await readJwks(buffer.toString("utf8", 0, bytesRead), trust.algorithms, trust.preset === "spiffe");
        seen = version;
        return keys;
      } finally {
        await file.close();
      }
    },
  };
}
