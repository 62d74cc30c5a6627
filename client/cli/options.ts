import { UsageError } from "./exit-codes.ts";

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Without the members that were not given. */
export function defined<T extends object>(value: T): Partial<Defined<T>> {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as Partial<Defined<T>>;
}

/** A page's size, 1 to 1000. */
export function pageLimit(text: string, name = "--limit"): number {
  const limit = Number(text);
  if (!/^\d{1,4}$/.test(text) || limit < 1 || limit > 1000) throw new UsageError(`${name}: "${text}" is not a number from 1 to 1000`);
  return limit;
}

/** A selector of exactly one of the options, by its name. */
export function exactlyOne<T extends object>(given: T, names: readonly (keyof T & string)[]): keyof T & string {
  const set = names.filter((name) => given[name] !== undefined && given[name] !== false);
  const [only] = set;
  const spelt = (name: string): string => `--${name.replace(/[A-Z0-9]+/g, (part) => `-${part.toLowerCase()}`)}`;
  if (only !== undefined && set.length === 1) return only;
  throw new UsageError(
    set.length === 0 ? "of what?" : `${set.map(spelt).join(" and ")} exclude each other`,
    `Give exactly one of ${names.map(spelt).join(", ")}.`,
  );
}
