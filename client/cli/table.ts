import Table from "cli-table3";
import { stripVTControlCharacters } from "node:util";
import type { Column, List } from "./output.ts";
import { clean, type Screen } from "./screen.ts";

const NOTHING = { top: "", "top-mid": "", "top-left": "", "top-right": "", bottom: "", "bottom-mid": "", "bottom-left": "", "bottom-right": "", left: "", "left-mid": "", mid: "", "mid-mid": "", right: "", "right-mid": "", middle: "" };
const GAP = 2;
const NARROWEST = 8;

/** A table without borders, cut to the terminal's width. */
export function table<T>(list: List<T>, screen: Screen): string {
  const cells = list.items.map((item) => list.columns.map((column) => cell(column, item)));
  const natural = list.columns.map((column, index) => GAP + Math.max(column.title.length, ...cells.map((row) => stripVTControlCharacters(row[index] ?? "").length)));
  const colWidths = fit(natural, screen.width);
  const grid = new Table({ chars: NOTHING, style: { head: [], border: [], "padding-left": 0, "padding-right": GAP, compact: true }, head: list.columns.map((column) => screen.color.dim(column.title.toUpperCase())), colWidths, wordWrap: false });
  grid.push(...cells);
  return grid.toString().split("\n").map((text) => text.trimEnd()).join("\n");
}

function cell<T>(column: Column<T>, item: T): string {
  return column.show === undefined ? clean(column.value(item)) : column.show(item);
}

/** Takes width from the widest until the row fits; ids and words stay readable as long as they can. */
function fit(natural: readonly number[], width: number): number[] {
  const widths = [...natural];
  let over = widths.reduce((sum, one) => sum + one, 0) - width;
  while (over > 0) {
    const widest = widths.indexOf(Math.max(...widths));
    const now = widths[widest] ?? 0;
    if (now <= NARROWEST) break;
    widths[widest] = now - 1;
    over -= 1;
  }
  return widths;
}
