import { gzip } from "node:zlib";
import { promisify } from "node:util";
import { StintError } from "../../domain/errors.ts";
import { bucketOfId } from "../../domain/ids.ts";
import type { Lease } from "../../domain/lease.ts";
import { toSeconds, type Clock } from "../../domain/time.ts";
import type { StatusStore } from "../../store/api.ts";
import type { OwnSignatures } from "../tasks/token.ts";
import { bitsOf, encodeBits } from "./bits.ts";
import { isServed, listId, parseListId, placeAt, servedParts, storeName, type ListName } from "./names.ts";
import { BUCKET_PLACES, placesOf, type Places } from "./places.ts";

/** A type of its own: no list passes for a token, nor a token for a list (RFC 8725 section 3.11). */
const LIST_TYP = "statuslist+jwt";
/** Verifiers ask again after this long, and we read again: what ends is everywhere within twice that. */
const TTL_SECONDS = 30;
/** Past this a verifier that cannot reach us denies. */
const LIFE_SECONDS = 300;
/** A list that we do not know is looked for at most this often: anybody may ask for any. */
const LOOK_AGAIN_MS = 1_000;

export interface ListToken {
  /** The status list token (a compact JWS), and the same gzipped. */
  readonly token: string;
  readonly gzipped: Buffer;
  /** How long it may still be kept. */
  readonly maxAgeSeconds: number;
}

/** Token Status Lists (draft-ietf-oauth-status-list-21): for verifiers that know nothing of the feed. */
export interface StatusLists {
  /** The list as it stands, at most 30 s old. Throws `not_found` for one that does not exist, not yet or not any more. */
  token(id: string): Promise<ListToken>;
  /** URIs of all lists that are served now. */
  uris(): Promise<readonly string[]>;
  /** Where the status of the lease's token that ends then can be read; undefined when it was given no place. */
  reference(lease: Lease, expiresAt: number): Promise<{ readonly idx: number; readonly uri: string } | undefined>;
}

interface Held {
  readonly readAt: number;
  readonly made: Promise<Omit<ListToken, "maxAgeSeconds">>;
}

export function createStatusLists(parts: {
  readonly url: string;
  readonly now: Clock;
  readonly statuses: StatusStore;
  readonly signatures: Pick<OwnSignatures, "sign">;
}): StatusLists {
  const { url, now, statuses, signatures } = parts;
  const uriOf = (name: ListName): string => `${url}/status/${listId(name)}`;
  const held = new Map<string, Held>();
  const places = new Map<string, Places>();
  let secret: Promise<Uint8Array> | undefined;
  let counts: { readonly at: number; readonly read: Promise<ReadonlyMap<string, number>> } | undefined;

  async function theSecret(): Promise<Uint8Array> {
    try {
      return await (secret ??= statuses.secret());
    } catch (error) {
      secret = undefined;
      throw error;
    }
  }

  async function placesFor(name: ListName): Promise<Places> {
    const id = listId(name);
    const known = places.get(id);
    if (known !== undefined) return known;
    const made = placesOf(await theSecret(), id);
    places.set(id, made);
    return made;
  }

  /** Lists that exist, read at most once in so long, and once for all who ask at the same time. */
  function existing(maxAgeMs: number): Promise<ReadonlyMap<string, number>> {
    if (counts === undefined || Math.abs(now() - counts.at) >= maxAgeMs) {
      const read = statuses.lists();
      counts = { at: now(), read };
      read.catch(() => (counts = undefined));
    }
    return counts.read;
  }

  async function make(name: ListName, readAt: number): Promise<Omit<ListToken, "maxAgeSeconds">> {
    const bits = bitsOf(await statuses.read(storeName(name)), name.part, await placesFor(name));
    const iat = toSeconds(readAt);
    const token = await signatures.sign(LIST_TYP, {
      iss: url,
      sub: uriOf(name),
      iat,
      exp: iat + LIFE_SECONDS,
      ttl: TTL_SECONDS,
      status_list: { bits: 1, lst: await encodeBits(bits), aggregation_uri: `${url}/status` },
    });
    return { token, gzipped: await promisify(gzip)(token) };
  }

  function forgetRetired(at: number): void {
    for (const known of [held, places]) {
      for (const id of known.keys()) {
        const name = parseListId(id);
        if (name === undefined || !isServed(name, at)) known.delete(id);
      }
    }
  }

  return {
    async token(id) {
      const name = parseListId(id);
      const at = now();
      if (name === undefined || !isServed(name, at)) throw noSuchList();
      let found = held.get(id);
      if (found === undefined) {
        const given = (await existing(LOOK_AGAIN_MS)).get(storeName(name)) ?? 0;
        if (name.part * BUCKET_PLACES >= given) throw noSuchList();
        found = held.get(id);
      }
      if (found === undefined || Math.abs(at - found.readAt) >= TTL_SECONDS * 1000) {
        forgetRetired(at);
        const fresh: Held = { readAt: at, made: make(name, at) };
        found = fresh;
        held.set(id, fresh);
        // what could not be made is not kept: an old list would be worse than none
        fresh.made.catch(() => held.get(id) === fresh && held.delete(id));
      }
      const maxAgeSeconds = Math.max(0, TTL_SECONDS - Math.ceil(Math.abs(at - found.readAt) / 1000));
      return { ...(await found.made), maxAgeSeconds };
    },
    async uris() {
      return servedParts(await existing(TTL_SECONDS * 1000), now()).map(uriOf);
    },
    async reference(lease, expiresAt) {
      const place = lease.status === undefined ? undefined : placeAt(lease.status, expiresAt);
      if (place === undefined) return undefined;
      const index = await placesFor(place.name);
      return { idx: index(bucketOfId(lease.id), place.place), uri: uriOf(place.name) };
    },
  };
}

const noSuchList = (): StintError => new StintError("not_found", "there is no such status list");
