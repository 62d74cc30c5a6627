import { clean, type Screen } from "./screen.ts";
import { UsageError } from "./exit-codes.ts";

/** How machines want it: everything (`--json`), some members (`--json=id,state`), or one (`--field id`). */
export interface Machine {
  readonly json?: string | undefined;
  readonly field?: string | undefined;
}

export interface Column<T> {
  readonly title: string;
  /** As a pipe gets it. */
  readonly value: (item: T) => string;
  /** As a terminal shows it, with colour; default as a pipe. */
  readonly show?: (item: T) => string;
  /** Left out of a terminal's table that would not fit: the highest goes first. */
  readonly optional?: number;
  /** Never made narrower: half an id is of no use. */
  readonly whole?: true;
}

export interface List<T> {
  /** `lease/v1`: what `--json` calls it. */
  readonly schema: string;
  readonly items: readonly T[];
  readonly columns: readonly Column<T>[];
  /** Said (on stderr) when there is none. */
  readonly empty: string;
  readonly nextCursor?: string | null;
}

/** A list: table on a terminal, tab-separated in a pipe, or as `machine` asks. */
export async function printList<T extends object>(screen: Screen, list: List<T>, machine: Machine = {}): Promise<void> {
  if (machine.field !== undefined) return list.items.forEach((item) => line(screen, fieldOf(item, machine.field ?? "")));
  if (machine.json !== undefined)
    return printJson(screen, {
      schema: list.schema,
      items: list.items.map((item) => pick(item, machine.json)),
      next_cursor: list.nextCursor ?? null,
    });
  if (list.items.length === 0) return void screen.err.write(`${list.empty}\n`);
  if (!screen.tty) return list.items.forEach((item) => line(screen, list.columns.map((column) => clean(column.value(item))).join("\t")));
  const { table } = await import("./table.ts");
  line(screen, table(list, screen));
  if (list.nextCursor) screen.err.write(`More: --cursor ${list.nextCursor}\n`);
}

/** One thing: its members under each other, or as `machine` asks. */
export function printRecord(
  screen: Screen,
  record: { readonly schema: string; readonly item: object; readonly rows: readonly (readonly [string, string])[] },
  machine: Machine = {},
): void {
  if (machine.field !== undefined) return line(screen, fieldOf(record.item, machine.field));
  if (machine.json !== undefined) return printJson(screen, { schema: record.schema, ...pick(record.item, machine.json) });
  const wide = Math.max(...record.rows.map(([label]) => label.length));
  for (const [label, text] of record.rows)
    line(screen, screen.tty ? `${screen.color.dim(label.padEnd(wide))}  ${text}` : `${label}\t${text}`);
}

/** Pretty for people, one line for pipes. */
export function printJson(screen: Screen, value: unknown): void {
  line(screen, screen.tty ? JSON.stringify(value, null, 2) : JSON.stringify(value));
}

export function line(screen: Screen, text: string): void {
  screen.out.write(`${text}\n`);
}

function pick(item: object, json: string | undefined): object {
  if (json === undefined || json === "") return item;
  return Object.fromEntries(json.split(",").map((name) => [name, member(item, name)]));
}

function fieldOf(item: object, name: string): string {
  const value = member(item, name);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function member(item: object, name: string): unknown {
  if (Object.hasOwn(item, name)) return (item as Readonly<Record<string, unknown>>)[name];
  throw new UsageError(`there is no member "${clean(name)}"`, `It has: ${Object.keys(item).join(", ")}`);
}
