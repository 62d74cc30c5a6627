import { hash } from "node:crypto";
import { canonicalize } from "json-canonicalize";

/** JSON in its one canonical spelling (RFC 8785): same record, same bytes, same hash. One line, for newlines are escaped in JSON. */
export const canonical = (value: unknown): string => canonicalize(value);

/** The members of records that were met before, in order and as they are spelt, by their names as they came. Records are of a few shapes. */
const ORDERS = new Map<string, readonly Member[]>();
interface Member {
  readonly name: string;
  /** With its quotes and its colon. */
  readonly head: string;
}
const MOST_ORDERS = 1000;
/** Stands in JSON as it is. */
const PLAIN = /^[ !#-[\]-~]*$/;

/**
 * The canonical spelling of `{ ...record, prev }` for a record whose members are texts and numbers, as most are, at a fraction of the
 * cost: with its members in order, JSON.stringify writes RFC 8785. Anything deeper takes the long way.
 */
export function canonicalRecord(record: Readonly<Record<string, unknown>>, prev: string): string {
  const names = Object.keys(record);
  const shape = names.join("\n");
  let order = ORDERS.get(shape);
  if (order === undefined) {
    // by UTF-16 code units, as RFC 8785 section 3.2.3 wants it
    order = [...new Set([...names, "prev"])].sort().map((name) => ({ name, head: `${JSON.stringify(name)}:` }));
    if (ORDERS.size < MOST_ORDERS) ORDERS.set(shape, order);
  }
  if (order.length !== names.length + 1) return canonical({ ...record, prev });
  let text = "";
  for (const { name, head } of order) {
    const value = name === "prev" ? prev : record[name];
    // names that hold line breaks may look like others together
    if (value === undefined && Object.hasOwn(record, name)) continue;
    if (typeof value !== "string" && typeof value !== "number") return canonical({ ...record, prev });
    text += (text === "" ? "{" : ",") + head + (typeof value === "string" ? textOf(value) : numberText(value));
  }
  return `${text}}`;
}

const textOf = (value: string): string => (PLAIN.test(value) ? `"${value}"` : JSON.stringify(value));
const numberText = (value: number): string => (Number.isSafeInteger(value) ? String(value) : JSON.stringify(value));

/** SHA-256 of a line's bytes, without its newline; hex. What was read from a file is hashed as it lies there, not as it was decoded. */
export const lineHash = (line: string | Buffer): string => hash("sha256", line, "hex");
