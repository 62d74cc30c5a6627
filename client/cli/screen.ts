import picocolors from "picocolors";
import type { Environment } from "../identity/source.ts";

type Colors = ReturnType<typeof picocolors.createColors>;

/** Where a command writes: data on `out`, everything else on `err`. */
export interface Screen {
  readonly out: NodeJS.WriteStream | NodeJS.WritableStream;
  readonly err: NodeJS.WriteStream | NodeJS.WritableStream;
  /** Whether people read `out` on a terminal. */
  readonly tty: boolean;
  readonly errTty: boolean;
  /** Whether somebody can answer a question. */
  readonly interactive: boolean;
  readonly width: number;
  readonly color: Colors;
  readonly errColor: Colors;
}

const isTty = (stream: object): boolean => "isTTY" in stream && stream.isTTY === true;

/** The terminal as this process has it. Colour only on a terminal, unless NO_COLOR forbids or CLICOLOR_FORCE demands it. */
export function screenOf(
  env: Environment,
  streams: { out: NodeJS.WriteStream; err: NodeJS.WriteStream; in: object } = {
    out: process.stdout,
    err: process.stderr,
    in: process.stdin,
  },
): Screen {
  const { out, err } = streams;
  const never = Boolean(env["NO_COLOR"]) || Boolean(env["STINT_NO_COLOR"]) || env["TERM"] === "dumb";
  const always = env["CLICOLOR_FORCE"] !== undefined && env["CLICOLOR_FORCE"] !== "0";
  const coloured = (stream: object): Colors => picocolors.createColors(!never && (always || isTty(stream)));
  return {
    out,
    err,
    tty: isTty(out),
    errTty: isTty(err),
    interactive: isTty(streams.in) && isTty(err) && !env["STINT_NO_INPUT"] && !env["CI"],
    width: Math.max(40, out.columns || 80),
    color: coloured(out),
    errColor: coloured(err),
  };
}

/** Text from elsewhere, safe to show: nothing in it can drive a terminal or forge a line. */
// oxlint-disable-next-line no-control-regex
export const clean = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, " ");

/** A line for people. */
export function note(screen: Screen, line: string): void {
  screen.err.write(`${line}\n`);
}
