import { z } from "zod";
import { parseHostPort, type Parsed } from "../../domain/host-port.ts";
import type { RedisTarget } from "../../store/redis-target.ts";
import { parseRedisUrl } from "../../store/redis-url.ts";
import { parseFlag, parseMasterKeys, parseOrigin, parseProxies, parseWorkers } from "./parse.ts";

/** What people read about a variable, in its error, in `.env.example` and in the reference. */
export interface About {
  /** What was expected, to follow "expected". */
  readonly expected: string;
  /** The default in words; a value in backticks is what an absent variable stands for. */
  readonly byDefault: string;
  readonly meaning: string;
  /** It may hold a secret: it has a `_FILE` form. */
  readonly secret?: true;
}

const WORKABLE_CRON = /^\s*(?:\S+\s+){4,5}\S+\s*$/;

function variable<T>(parse: (text: string) => Parsed<T>, about: About) {
  const read = z.string().transform((text, context): T => {
    const parsed = parse(text);
    if ("value" in parsed) return parsed.value;
    context.addIssue({ code: "custom", message: parsed.wrong });
    return z.NEVER;
  });
  return read.optional().meta({ ...about });
}

/** A socket is for the embedded Redis alone, which needs no address from outside. */
const redis = (text: string): Parsed<RedisTarget> => {
  const target = parseRedisUrl(text);
  return "value" in target && target.value.kind === "socket" ? { wrong: "it has none of these forms" } : target;
};
const path = (text: string): Parsed<string> => (text.includes("\0") ? { wrong: "it holds a NUL" } : { value: text });
const listen = (text: string): Parsed<{ host: string; port: number }> => parseHostPort(text);
const metrics = (text: string): Parsed<{ host: string; port: number } | "off"> => (text === "off" ? { value: "off" } : parseHostPort(text));
const cron = (text: string): Parsed<string> => (WORKABLE_CRON.test(text) ? { value: text } : { wrong: "it has not five or six fields" });
const oneOf =
  <const W extends string>(...words: readonly W[]) =>
  (text: string): Parsed<W> => {
    const value = words.find((word) => word === text);
    return value === undefined ? { wrong: "it is none of these" } : { value };
  };

const file = (expected: string, meaning: string) => variable(path, { expected, byDefault: "none", meaning });
const FLAG = "on or off";

/** The server's environment, whole: the one schema behind `readConfig`, `.env.example` and the configuration reference. */
export const Environment = z.object({
  STINT_URL: variable(parseOrigin, {
    expected: "an origin such as https://stint.example.com: no path, no trailing slash, https unless loopback",
    byDefault: "`http://127.0.0.1:8420`",
    meaning: "Public origin of this broker, which is its issuer identifier (`iss`).",
  }),
  STINT_LISTEN: variable(listen, {
    expected: "host:port",
    byDefault: "the host and port of `STINT_URL` if that is loopback, else `0.0.0.0:8420`",
    meaning: "Where to listen.",
  }),
  STINT_TLS_CERT_FILE: file("the path of a PEM file, together with STINT_TLS_KEY_FILE", "Certificate chain of our own listener."),
  STINT_TLS_KEY_FILE: file("the path of a PEM file, together with STINT_TLS_CERT_FILE", "Private key of our own listener."),
  STINT_TLS_CLIENT_CA_FILE: file(
    "the path of a PEM file; it needs STINT_TLS_CERT_FILE",
    "Authorities whose client certificates are accepted.",
  ),
  STINT_TRUSTED_PROXIES: variable(parseProxies, {
    expected: "addresses or CIDR ranges, comma-separated (or loopback, linklocal, uniquelocal)",
    byDefault: "none",
    meaning: "Proxies whose forwarding headers are believed.",
  }),
  STINT_METRICS_LISTEN: variable(metrics, {
    expected: "host:port or off",
    byDefault: "`127.0.0.1:9420`",
    meaning: "Listener of the metrics; health answers here too. `off` for none.",
  }),
  STINT_REDIS_URL: variable(redis, {
    expected: "redis://, rediss://, redis+sentinel://h1,h2,h3/master-name or redis+cluster://h1,h2,h3",
    byDefault: "none: a Redis of our own",
    meaning:
      "The store, with `?replicas=N` behind it where N replicas must have a write before it is answered (otherwise half of those that are known). Without it the broker runs a real Redis as its child, on a unix socket in the data directory: the `redis-server` or `valkey-server` on PATH, else one fetched from the system's packages without root.",
    secret: true,
  }),
  STINT_REQUIRE_AOF: variable(parseFlag, {
    expected: FLAG,
    byDefault: "`off`",
    meaning: "Refuse to start on a Redis without an append-only file. Otherwise that is a warning, and `/readyz` names it.",
  }),
  STINT_DATA_DIR: variable(path, {
    expected: "a path",
    byDefault: "`.stint`",
    meaning: "Folder of the embedded Redis, generated keys and audit files. One broker per data directory.",
  }),
  STINT_AUDIT_DIR: variable(path, {
    expected: "a path",
    byDefault: "`audit` in the data directory",
    meaning: "Folder of the append-only audit files.",
  }),
  STINT_CONFIG: variable(path, {
    expected: "a path",
    byDefault: "`./stint`",
    meaning:
      "Folder of YAML documents, or one file: trusts, grants, targets, verifiers, settings. Reloaded whole on SIGHUP; a bad file keeps the old configuration in force and says so.",
  }),
  STINT_WATCH: variable(parseFlag, { expected: FLAG, byDefault: "`off`", meaning: "Reload `STINT_CONFIG` whenever it changes." }),
  STINT_MASTER_KEY: variable(parseMasterKeys, {
    expected: "32 bytes in base64 (openssl rand -base64 32), or several of these, comma-separated",
    byDefault: "generated into the data directory with the embedded Redis, required otherwise",
    meaning: "Seals private keys and revocation handles at rest. A list allows rotation: the first one seals, all of them open.",
    secret: true,
  }),
  STINT_OPERATOR_TOKENS_FILE: variable(path, {
    expected: "the path of a file with lines of `name role sha256:<hex>`",
    byDefault: "with the embedded Redis: one admin token, generated and printed once",
    meaning: "Who may operate the broker. Reloaded like the configuration.",
  }),
  STINT_SWEEP_CRON: variable(cron, {
    expected: "a cron expression of five or six fields, seconds first",
    byDefault: "`* * * * * *`",
    meaning: "When the sweeper ends what is due.",
  }),
  STINT_WORKERS: variable(parseWorkers, {
    expected: "a number from 1 to 256, or auto",
    byDefault: "`1`",
    meaning: "Processes that serve requests; `auto` is one per core. With more than one, a primary process keeps them running.",
  }),
  STINT_LOG_LEVEL: variable(oneOf("debug", "info", "warn", "error", "silent"), {
    expected: "debug, info, warn, error or silent",
    byDefault: "`info`",
    meaning: "Least severe lines that are written.",
  }),
  STINT_LOG_FORMAT: variable(oneOf("json", "text"), {
    expected: "json or text",
    byDefault: "`json` when not on a terminal",
    meaning: "One JSON object a line, or lines for people.",
  }),
});
export type Environment = z.infer<typeof Environment>;
export type VariableName = keyof Environment;

/** Name and description of every variable, in the schema's order. */
export const VARIABLES: readonly (About & { readonly name: VariableName })[] = Object.entries(Environment.shape).map(([name, schema]) => ({
  ...(schema.meta() as unknown as About),
  name: name as VariableName,
}));

/** What else may stand in an environment without being a mistake: read by the command and by tests. */
export const OTHER_VARIABLES: readonly string[] = [
  "STINT_ID_TOKEN",
  "STINT_ID_TOKEN_FILE",
  "STINT_OPERATOR_TOKEN",
  "STINT_OPERATOR_TOKEN_FILE",
  "STINT_TASK",
  "STINT_TASK_TOKEN",
  "STINT_TASK_TOKEN_FILE",
  "STINT_CA_FILE",
  "STINT_TIMEOUT",
  "STINT_DEBUG",
  "STINT_NO_COLOR",
  "STINT_NO_INPUT",
  "STINT_TEST_REDIS_URL",
  "STINT_TEST_REDIS_LAYOUT",
  "STINT_TEST_REDIS_SERVER",
  "STINT_TEST_OFFLINE",
  "STINT_TEST_POSTGRES",
];
