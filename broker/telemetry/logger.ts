import { destination, pino, type Logger as Pino } from "pino";
import { systemClock, toRfc3339, type Clock } from "../../domain/time.ts";
import { cleanFields, safeLine, visible } from "./redact.ts";

/** Writes lines: a constant message in the past tense, data as fields. Secrets are replaced by name and by shape. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A logger whose every line carries these fields too. */
  child(fields: object): Logger;
}

export interface LoggerOptions {
  readonly level: "debug" | "info" | "warn" | "error" | "silent";
  /** One JSON object a line, or lines for people. */
  readonly format: "json" | "text";
  /** Where lines go, each with its newline; stderr unless told otherwise. */
  readonly write?: (line: string) => void;
  readonly clock?: Clock;
}

/** The process's logger. Pino's only door. */
export function createLogger(options: LoggerOptions): Logger {
  const clock = options.clock ?? systemClock;
  const sink = options.write === undefined ? toStderr() : { write: options.write, now: () => undefined };
  const render = options.format === "json" ? safeLine : (line: string) => textLine(safeLine(line));
  const base = pino(
    {
      level: options.level,
      base: { pid: process.pid },
      timestamp: () => `,"time":"${toRfc3339(clock())}"`,
      formatters: { level: (level) => ({ level }) },
      // Errors were reduced before: pino's own serializer would fold their causes into one text.
      serializers: { err: (err: unknown) => err },
    },
    { write: (line: string) => sink.write(render(line)) },
  );
  return wrap(base, sink.now);
}

interface Sink {
  readonly write: (line: string) => void;
  /** Nothing waits any longer. */
  readonly now: () => void;
}

function wrap(inner: Pino, now: Sink["now"]): Logger {
  return {
    debug: (fields, message) => inner.isLevelEnabled("debug") && inner.debug(cleanFields(fields), message),
    info: (fields, message) => inner.isLevelEnabled("info") && inner.info(cleanFields(fields), message),
    warn: (fields, message) => inner.isLevelEnabled("warn") && inner.warn(cleanFields(fields), message),
    error(fields, message) {
      if (!inner.isLevelEnabled("error")) return;
      inner.error(cleanFields(fields), message);
      now();
    },
    child: (fields) => wrap(inner.child(cleanFields(fields)), now),
  };
}

/** Lines wait this long for others: one system call for all of them. Errors and the process's end wait for nothing. */
const GATHER_MS = 25;
const GATHERED_CHARACTERS = 32_768;

/** Exported for its spec. `write` takes whole lines. */
export function gatherLines(write: (lines: string) => void): { readonly add: (line: string) => void; readonly flush: () => void } {
  let held = "";
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const lines = held;
    held = "";
    if (lines !== "") write(lines);
  };
  return {
    add(line) {
      held += line;
      if (held.length >= GATHERED_CHARACTERS) flush();
      else timer ??= setTimeout(flush, GATHER_MS);
    },
    flush,
  };
}

/** A process that exits, throws or is asked to end says all it had to say; only what kills it at once takes the last 25 ms. */
function toStderr(): Sink {
  const stderr = destination({ dest: 2, sync: true });
  const lines = gatherLines((text) => void stderr.write(text));
  process.on("exit", lines.flush);
  return { write: lines.add, now: lines.flush };
}

/** `12:00:00.000 info  lease activated  leaseId=lease_... issuer=jwt` */
function textLine(line: string): string {
  const { time, level, pid: _, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const shown = Object.entries(fields).map(([name, value]) => `${visible(name)}=${textValue(value)}`);
  const head = `${String(time).slice(11, 23)} ${String(level).padEnd(5)} ${visible(String(msg))}`;
  return `${shown.length === 0 ? head : `${head}  ${shown.join(" ")}`}\n`;
}

function textValue(value: unknown): string {
  if (typeof value === "string") return /^[\w.:/@+-]+$/.test(value) ? value : visible(JSON.stringify(value));
  if (typeof value === "object" && value !== null && "type" in value && "message" in value && "stack" in value) {
    return visible(JSON.stringify(`${String(value.type)}: ${String(value.message)}`));
  }
  return visible(JSON.stringify(value) ?? "");
}
