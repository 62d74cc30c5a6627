import { BUCKETS, bucketOfId, type Id } from "../domain/ids.ts";

/** A bucket by number, or the facts that belong to the store as a whole. */
export type Place = number | "meta";

/** The hash tag keeps all of a bucket in one slot of a Cluster: `stint:{b07}`. It is the bucket's own key and the prefix of the rest. */
export const placeKey = (place: Place): string => (place === "meta" ? "stint:{meta}" : `stint:{b${place.toString(16).padStart(2, "0")}}`);

/** Declared by every script and never written: see the head of lua/lib.lua. */
export const neverKey = (place: Place): string => `${placeKey(place)}:never`;

/** An id inside its bucket: the 26 characters behind the prefix. */
export const bare = (id: Id): string => id.slice(id.indexOf("_") + 1);

/** The key of one record: `l` lease, `t` task, `d` denial, `r` revocation. */
export const recordKey = (kind: "l" | "t" | "d" | "r" | "re" | "tl" | "tc", id: Id): string =>
  `${placeKey(bucketOfId(id))}:${kind}:${bare(id)}`;

/** Which lease a credential belongs to, by the first half of its SHA-256 in hex; no bucket of a subject, so a look-up asks once. */
export const credentialKey = (sha256: string): string => `stint:cred:${sha256.slice(0, 32)}`;

/** Which lease an object at a target belongs to, by its name there. */
export const externalNameKey = (name: string): string => `stint:ext:${name}`;

export const ALL_BUCKETS: readonly number[] = Array.from({ length: BUCKETS }, (_, bucket) => bucket);
