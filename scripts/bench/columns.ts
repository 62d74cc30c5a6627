/** Columns for a terminal: names to the left, numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  // names to the left, numbers to the right
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        /^[\d.-]/.test(rows[0]?.[column] ?? "") ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd();
  return [head, ...rows].map((row) => `  ${line(row)}`).join("\n");
}

export const two = (value: number): string => value.toFixed(2);
export const whole = (value: number): string => (Number.isFinite(value) ? Math.round(value).toString() : "-");
export const percent = (share: number): string => `${Math.round(share * 100)} %`;
export const ms = (value: number): string => `${value.toFixed(value < 10 ? 2 : 0)} ms`;
