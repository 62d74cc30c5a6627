import { BUCKETS } from "../../domain/ids.ts";
import type { Tail } from "./chain.ts";

/** What a signed checkpoint says: so many records, ending in this hash, with these last sequences, at this instant (RFC 3339). */
export interface Checkpoint extends Tail {
  readonly origin: string;
  readonly at: string;
  /** Id of the store whose records these are. */
  readonly store: string;
}

/** The name under which a broker signs: its host, without a scheme, as C2SP wants it. */
export const originOf = (url: string): string => `${new URL(url).host}/audit`;

/** The text of a checkpoint's note: origin, size, hash in base64, and a line each for the time, the store and the buckets. */
export function checkpointText({ origin, size, head, at, store, sequences }: Checkpoint): string {
  return `${origin}\n${size}\n${Buffer.from(head, "hex").toString("base64")}\nat ${at}\nstore ${store}\nsequences ${sequences.join(" ")}\n`;
}

/** Reads a checkpoint's text; undefined when it is none. */
export function parseCheckpoint(text: string): Checkpoint | undefined {
  const [, origin, size, head, at, store, sequences] =
    /^([^\s+]+)\n(0|[1-9]\d{0,15})\n([A-Za-z0-9+/]{43}=)\nat (\S{1,40})\nstore (\S{1,128})\nsequences ([\d ]+)\n$/.exec(text) ?? [];
  if (
    origin === undefined ||
    size === undefined ||
    head === undefined ||
    at === undefined ||
    store === undefined ||
    sequences === undefined
  )
    return undefined;
  const numbers = sequences.split(" ").map(Number);
  if (numbers.length !== BUCKETS || !numbers.every(Number.isSafeInteger)) return undefined;
  return { origin, size: Number(size), head: Buffer.from(head, "base64").toString("hex"), at, store, sequences: numbers };
}
