import { BUCKET_PLACES } from "./places.ts";

/** Lists are of an hour each: the one that the tokens in them end in. */
export const HOUR_MS = 3_600_000;
/** A list is served until its last token has ended everywhere, allowances for clocks included. */
const GRACE_MS = 60_000;
/** No token lives longer than a day. */
const AHEAD_MS = 25 * HOUR_MS;

/** A published list: of the store's list (`hour.generation`), the part with this number. */
export interface ListName {
  readonly hour: number;
  readonly generation: number;
  readonly part: number;
}

/** One token's place, as the store gave it out. */
export interface Place {
  readonly name: ListName;
  readonly place: number;
}

const NAME = /^(\d{6,8})-(0|[1-9]\d{0,8})(?:-([1-9a-z][0-9a-z]{0,10}))?$/;

/** As it stands in URLs: `hour-part`, and the generation once there was more than one. */
export const listId = ({ hour, generation, part }: ListName): string =>
  `${hour}-${part}${generation === 0 ? "" : `-${generation.toString(36)}`}`;

/** The list that an id names; undefined for what is none, or another spelling of one. */
export function parseListId(id: string): ListName | undefined {
  const [, hour, part, generation] = NAME.exec(id) ?? [];
  if (hour === undefined || part === undefined) return undefined;
  const name = { hour: Number(hour), part: Number(part), generation: generation === undefined ? 0 : Number.parseInt(generation, 36) };
  return listId(name) === id ? name : undefined;
}

/** As the store calls it, with all its parts. */
export const storeName = ({ hour, generation }: ListName): string => `${hour}.${generation}`;

/** Whether tokens in it may still be honoured anywhere. */
export const isServed = ({ hour }: ListName, now: number): boolean =>
  now < (hour + 1) * HOUR_MS + GRACE_MS && hour * HOUR_MS < now + AHEAD_MS;

/** The place of the token that ends then, out of what the store keeps on its lease. */
export function placeAt(status: string, expiresAt: number): Place | undefined {
  const hour = Math.floor(expiresAt / HOUR_MS);
  for (const entry of status.split(" ")) {
    const [at, generation, number] = entry.split(".").map(Number);
    if (at !== hour || generation === undefined || number === undefined) continue;
    return { name: { hour, generation, part: Math.floor(number / BUCKET_PLACES) }, place: number % BUCKET_PLACES };
  }
  return undefined;
}

/** Every published part of the store's lists that are still served. `counts`: places given out by the fullest bucket. */
export function servedParts(counts: ReadonlyMap<string, number>, now: number): readonly ListName[] {
  return [...counts].flatMap(([list, count]) => {
    const [hour = 0, generation = 0] = list.split(".").map(Number);
    const parts = Math.ceil(count / BUCKET_PLACES);
    return isServed({ hour, generation, part: 0 }, now) ? Array.from({ length: parts }, (_, part) => ({ hour, generation, part })) : [];
  });
}
