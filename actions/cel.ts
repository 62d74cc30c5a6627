import { Environment, type ASTNode, type ParseResult } from "@marcbachmann/cel-js";
import { PATTERN_INPUT_MAX } from "./glob.ts";
import { compileRegex } from "./regex.ts";

/** A `when` that compiled. `holds` never throws: undefined says that it erred or met a missing value. */
export interface When {
  readonly source: string;
  readonly holds: (context: WhenContext) => boolean | undefined;
}

/** The values of the inputs. Whole numbers are bigint, as CEL has them. */
export type WhenContext = Readonly<Record<string, unknown>>;

/** Where an expression is wrong: `offset` is a character of it. */
export interface WhenError {
  readonly error: string;
  readonly offset: number;
}

const LOOPS = new Set(["all", "exists", "exists_one", "map", "filter"]);
const MAX_LOOPS = 8;
/** An expression that loops is not run over longer lists and texts than these: its work is bounded by their product. */
const MAX_LIST = 256;
const MAX_TEXT = 1024;
/** Stands for CEL's `matches`, which the library would hand to a backtracking engine. */
const MATCHES = "matchesInLinearTime";
const patterns = new Map<string, (value: string) => boolean>();

const OPEN_MAP = "map<string, dyn>";
const LIMITS = { maxAstNodes: 512, maxDepth: 32, maxListElements: 256, maxMapEntries: 64, maxCallArguments: 8 };
const matchesPattern = (value: string, source: string): boolean =>
  value.length <= PATTERN_INPUT_MAX && patterns.get(source)?.(value) === true;
const environment = (): Environment =>
  new Environment({ limits: LIMITS }).registerFunction(`string.${MATCHES}(string): bool`, matchesPattern);

/**
 * What expressions of one kind see: records whose members have CEL types, plain variables with theirs, and open maps (`map<string,
 * dyn>`), whose content is checked only as it is met.
 */
export interface WhenInputs {
  readonly records: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly variables?: Readonly<Record<string, string>>;
  readonly maps: readonly string[];
}

/** Compiles and type-checks one expression; it must be a condition (bool). */
export type CompileWhen = (source: string) => When | WhenError;

/** A compiler of expressions over these inputs. */
export function whenCompiler(inputs: WhenInputs): CompileWhen {
  const typed = environment();
  // Evaluates without the records' types: the library would wrap every input anew each time, which costs more than the expression.
  const untyped = environment();
  for (const [name, schema] of Object.entries(inputs.records)) {
    typed.registerVariable({ name, schema });
    untyped.registerVariable(name, OPEN_MAP);
  }
  for (const one of [typed, untyped]) {
    for (const [name, type] of Object.entries(inputs.variables ?? {})) one.registerVariable(name, type);
    for (const name of inputs.maps) one.registerVariable(name, OPEN_MAP);
  }
  return (source) => compileWhen(source, typed, untyped, inputs.maps);
}

function compileWhen(source: string, typed: Environment, untyped: Environment, maps: readonly string[]): When | WhenError {
  const tally = { loops: 0 };
  const strict = parse(typed, source, tally);
  if ("error" in strict) return strict;
  const checked = strict.check();
  if (!checked.valid) return faultOf(checked.error);
  if (checked.type !== "bool" && checked.type !== "dyn")
    return { error: `must be a condition (bool), but is ${checked.type ?? "something else"}`, offset: 0 };
  const loops = tally.loops > 0;
  const parsed = parse(untyped, source, { loops: 0 });
  if ("error" in parsed) return parsed;
  parsed.check();
  return { source, holds: (context) => evaluate(parsed, context, loops ? maps : []) };
}

function parse(environment: Environment, source: string, tally: { loops: number }): ParseResult | WhenError {
  try {
    const parsed = environment.parse(source);
    return inspect(parsed.ast, false, tally) ?? parsed;
  } catch (error) {
    return faultOf(error);
  }
}

function evaluate(parsed: ParseResult, context: WhenContext, looped: readonly string[]): boolean | undefined {
  for (const name of looped) if (!isSmall(context[name], 0)) return undefined;
  try {
    const result: unknown = parsed(context);
    return typeof result === "boolean" ? result : undefined;
  } catch {
    return undefined; // a missing value, or types that do not fit: the rule's effect says what follows
  }
}

function faultOf(error: unknown): WhenError {
  const fault = error as { readonly summary?: string; readonly message?: string; readonly range?: { readonly start: number } };
  const text = fault.summary ?? fault.message?.split("\n", 1)[0] ?? "cannot be read";
  return { error: text.slice(0, 200), offset: fault.range?.start ?? 0 };
}

/** Bounds what an expression can be made to do, and turns its regular expressions into linear ones. */
function inspect(node: unknown, inLoop: boolean, tally: { loops: number }): WhenError | undefined {
  if (Array.isArray(node)) return firstOf(node, (part) => inspect(part, inLoop, tally));
  if (!isNode(node)) return undefined;
  if (node.op !== "rcall") return inspect(node.args, inLoop, tally);
  const [name, receiver, args] = node.args;
  if (name === "bind") return { error: "cel.bind is not available", offset: node.start };
  if (name === "matches") {
    const fault = adoptPattern(node, args);
    if (fault !== undefined) return fault;
  }
  const loop = LOOPS.has(name);
  if (loop && inLoop) return { error: "a loop within a loop is not available", offset: node.start };
  if (loop && ++tally.loops > MAX_LOOPS) return { error: `more than ${MAX_LOOPS} loops are not available`, offset: node.start };
  return inspect(receiver, inLoop, tally) ?? inspect(args, inLoop || loop, tally);
}

const isNode = (value: unknown): value is ASTNode => typeof value === "object" && value !== null && "op" in value && "args" in value;

function adoptPattern(node: ASTNode, args: readonly ASTNode[]): WhenError | undefined {
  const [pattern] = args;
  const source = pattern?.op === "value" ? pattern.args : undefined;
  if (typeof source !== "string") return { error: "matches() needs a regular expression written out", offset: node.start };
  // CEL searches; anchors are asked for here as they are everywhere in a policy.
  const compiled = compileRegex(source, false);
  if (typeof compiled === "string") return { error: `the regular expression ${compiled}`, offset: pattern?.start ?? node.start };
  patterns.set(source, compiled);
  (node.args as unknown[])[0] = MATCHES;
  return undefined;
}

function firstOf<T>(items: readonly T[], find: (item: T) => WhenError | undefined): WhenError | undefined {
  for (const item of items) {
    const fault = find(item);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function isSmall(value: unknown, depth: number): boolean {
  if (typeof value === "string") return value.length <= MAX_TEXT;
  if (typeof value !== "object" || value === null) return true;
  if (depth > 16) return false;
  const members: unknown[] = Array.isArray(value) ? value : Object.values(value);
  return members.length <= MAX_LIST && members.every((member) => isSmall(member, depth + 1));
}

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;

/** CEL types of `now`, as every kind of expression sees it. */
export const NOW_INPUT = { hour: "int", minute: "int", weekday: "string", epoch: "int" } as const;

/** `now` of an expression, UTC. `at` is milliseconds. */
export function nowInput(at: number): WhenContext {
  const time = new Date(at);
  return {
    hour: whole(time.getUTCHours()),
    minute: whole(time.getUTCMinutes()),
    weekday: WEEKDAYS[time.getUTCDay()] ?? "",
    epoch: whole(at / 1000),
  };
}

/** A whole number as CEL has it; what is none is 0. */
export const whole = (value: number): bigint => BigInt(Number.isFinite(value) ? Math.floor(value) : 0);
