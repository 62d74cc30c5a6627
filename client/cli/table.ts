import Table from "cli-table3";
import { stripVTControlCharacters } from "node:util";
import type { Column, List } from "./output.ts";
import { clean, type Screen } from "./screen.ts";

const NOTHING = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "",
};
const GAP = 2;
const NARROWEST = 8;

/** A table without borders, cut to the terminal's width: columns that may go, go first; then the widest become narrower. */
export function table<T>(list: List<T>, screen: Screen): string {
  let columns = list.columns;
  let widths = widthsOf(columns, list.items);
  while (sum(widths) > screen.width) {
    const optional = columns.filter((column) => column.optional !== undefined).toSorted((a, b) => (b.optional ?? 0) - (a.optional ?? 0))[0];
    if (optional === undefined) break;
    columns = columns.filter((column) => column !== optional);
    widths = widthsOf(columns, list.items);
  }
  const grid = new Table({
    chars: NOTHING,
    style: { head: [], border: [], "padding-left": 0, "padding-right": GAP, compact: true },
    head: columns.map((column) => screen.color.dim(column.title.toUpperCase())),
    colWidths: fit(
      widths,
      columns.map((column) => (column.whole === true ? Infinity : NARROWEST)),
      screen.width,
    ),
    wordWrap: false,
  });
  grid.push(...list.items.map((item) => columns.map((column) => cell(column, item))));
  return grid
    .toString()
    .split("\n")
    .map((text) => text.trimEnd())
    .join("\n");
}

const sum = (widths: readonly number[]): number => widths.reduce((total, one) => total + one, 0);

function widthsOf<T>(columns: readonly Column<T>[], items: readonly T[]): number[] {
  return columns.map(
    (column) => GAP + Math.max(column.title.length, ...items.map((item) => stripVTControlCharacters(cell(column, item)).length)),
  );
}

function cell<T>(column: Column<T>, item: T): string {
  return column.show === undefined ? clean(column.value(item)) : column.show(item);
}

/** Takes width from the widest until the row fits; ids and words stay readable as long as they can. */
function fit(natural: readonly number[], narrowest: readonly number[], width: number): number[] {
  const widths = [...natural];
  let over = sum(widths) - width;
  while (over > 0) {
    const widest = widths.reduce((best, now, index) => (now > (narrowest[index] ?? 0) && now > (widths[best] ?? 0) ? index : best), -1);
    if (widest === -1) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
    over -= 1;
  }
  return widths;
}
