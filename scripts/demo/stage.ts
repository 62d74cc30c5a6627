import { setTimeout as pause } from "node:timers/promises";
import { styleText } from "node:util";

type Style = Parameters<typeof styleText>[0];
const colourful = process.stdout.isTTY === true && process.env["NO_COLOR"] === undefined;
const paint = (style: Style, text: string): string => (colourful ? styleText(style, text) : text);

/** Thrown when the story does not go as told. */
export class Untrue extends Error {
  override readonly name: string = "Untrue";
}

let told = 0;
/** How many lines have been asserted so far. */
export const asserted = (): number => told;

export const say = (text = ""): void => void process.stdout.write(`${text}\n`);
export const act = (number: number, title: string): void => say(`\n${paint("bold", `${number}  ${title}`)}`);
export const narrate = (text: string): void => say(`   ${paint("dim", text)}`);
export const command = (text: string): void => say(`   ${paint("cyan", `$ ${text}`)}`);

/** Shows what a program printed, indented, without empty lines. */
export function show(output: string, most = 14): void {
  const lines = output.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("::"));
  for (const line of lines.slice(0, most)) say(`     ${line}`);
  if (lines.length > most) say(paint("dim", `     (${lines.length - most} more lines)`));
}

/** A line of the story that must be true. */
export function assert(claim: string, truth: boolean, found?: unknown): void {
  if (!truth)
    throw new Untrue(
      `not so: ${claim}${found === undefined ? "" : `\n   found: ${typeof found === "string" ? found : JSON.stringify(found)}`}`,
    );
  told += 1;
  say(`   ${paint("green", "✓")} ${claim}`);
}

/** Reads again and again until it holds or too much time has passed; the last reading either way, for `assert` to judge. */
export async function awaited<T>(read: () => Promise<T>, holds: (found: T) => boolean, everyMs: number, withinMs: number): Promise<T> {
  const until = performance.now() + withinMs;
  for (;;) {
    const found = await read();
    if (holds(found) || performance.now() > until) return found;
    await pause(everyMs);
  }
}
