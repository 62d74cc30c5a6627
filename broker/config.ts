import { readFileSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import type { HostPort } from "../domain/host-port.ts";
import { Secret } from "../domain/secret.ts";
import type { RedisTarget } from "../store/redis-target.ts";
import { Environment, OTHER_VARIABLES, VARIABLES } from "./config/environment.ts";
import { hostPortOf, isLoopback } from "./config/parse.ts";
import { nearest } from "./policy/nearest.ts";

/** The environment, as `process.env` has it. */
export type Env = Readonly<Record<string, string | undefined>>;

/** What the server was told, checked and frozen. Paths are absolute. */
export interface Config {
  /** Public origin: `iss`. */
  readonly url: string;
  readonly listen: HostPort;
  readonly tls: { readonly certFile: string; readonly keyFile: string; readonly clientCaFile: string | undefined } | undefined;
  readonly trustedProxies: readonly string[];
  readonly metricsListen: HostPort | undefined;
  /** Undefined: run the embedded Redis. */
  readonly redis: RedisTarget | undefined;
  readonly requireAof: boolean;
  readonly dataDir: string;
  readonly auditDir: string;
  readonly configPath: string;
  readonly watch: boolean;
  /** As written: one key or several, comma-separated, each checked. Undefined only with the embedded Redis. */
  readonly masterKey: Secret | undefined;
  readonly operatorTokensFile: string | undefined;
  readonly sweepCron: string;
  readonly workers: number;
  readonly log: { readonly level: NonNullable<Environment["STINT_LOG_LEVEL"]>; readonly format: "json" | "text" };
  /** Where the embedded Redis looks for its program. */
  readonly search: { readonly searchPath: string | undefined; readonly cacheDir: string | undefined };
  /** Worth a line at start; never a value. */
  readonly warnings: readonly string[];
}

/** What is outside the environment itself; tests hand in their own. */
export interface Outside {
  readonly readFile: (path: string) => { readonly text: string; readonly mode: number };
  readonly isCron: (expression: string) => boolean;
  readonly cores: () => number;
  readonly isTerminal: boolean;
  readonly cwd: string;
}

export interface Mistake {
  readonly variable: string;
  /** `expected ...: it ...` */
  readonly message: string;
}

/** Everything that is wrong with the environment, at once, never with a value. Start-up ends with exit code 78. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly exitCode = 78;
  readonly mistakes: readonly Mistake[];
  constructor(mistakes: readonly Mistake[]) {
    super(["The environment has mistakes:", ...mistakes.map(({ variable, message }) => `  ${variable}: ${message}`)].join("\n"));
    this.mistakes = mistakes;
  }
}

const realOutside = (): Outside => ({
  readFile: (path) => ({ text: readFileSync(path, "utf8"), mode: statSync(path).mode }),
  isCron: () => true,
  cores: availableParallelism,
  isTerminal: process.stdout.isTTY === true,
  cwd: process.cwd(),
});

/** The whole environment as one frozen `Config`. Throws `ConfigError` with every mistake in it. */
export function readConfig(env: Env, outside: Partial<Outside> = {}): Config {
  const around = { ...realOutside(), ...outside };
  const mistakes: Mistake[] = [];
  const warnings = unknownVariables(env);
  const texts = readTexts(env, around, mistakes, warnings);
  const parsed = Environment.safeParse(texts);
  for (const issue of parsed.error?.issues ?? []) {
    const variable = String(issue.path[0]);
    mistakes.push({ variable, message: `expected ${expectedOf(variable)}: ${issue.message}` });
  }
  mistakes.push(...contradictions(texts, around));
  if (!parsed.success || mistakes.length > 0) throw new ConfigError(mistakes);
  return freeze(assemble(parsed.data, env, around, warnings));
}

/** The text of each variable, from itself or from the file that its `_FILE` form names. Empty counts as absent. */
function readTexts(env: Env, outside: Outside, mistakes: Mistake[], warnings: string[]): Record<string, string> {
  const texts: Record<string, string> = {};
  for (const { name, secret } of VARIABLES) {
    const direct = env[name];
    if (direct !== undefined && direct !== "") texts[name] = direct;
    const file = secret === true ? env[`${name}_FILE`] : undefined;
    if (file === undefined || file === "") continue;
    if (texts[name] !== undefined) mistakes.push({ variable: `${name}_FILE`, message: `expected only one of ${name} and ${name}_FILE` });
    try {
      const { text, mode } = outside.readFile(resolve(outside.cwd, file));
      if ((mode & 0o022) !== 0) mistakes.push({ variable: `${name}_FILE`, message: "expected a file that others can't write: chmod 600" });
      else if ((mode & 0o044) !== 0) warnings.push(`${name}_FILE may be read by others; chmod 600 unless the platform mounts it so`);
      texts[name] = text.trim();
    } catch {
      mistakes.push({ variable: `${name}_FILE`, message: "expected the path of a file that can be read" });
    }
  }
  return texts;
}

/** Mistakes that two variables make together. */
function contradictions(texts: Readonly<Record<string, string>>, outside: Outside): readonly Mistake[] {
  const mistakes: Mistake[] = [];
  const has = (name: string): boolean => texts[name] !== undefined;
  const expect = (variable: string, message: string): void => void mistakes.push({ variable, message: `expected ${message}` });
  if (has("STINT_TLS_CERT_FILE") && !has("STINT_TLS_KEY_FILE")) expect("STINT_TLS_KEY_FILE", "the key that goes with STINT_TLS_CERT_FILE");
  if (has("STINT_TLS_KEY_FILE") && !has("STINT_TLS_CERT_FILE"))
    expect("STINT_TLS_CERT_FILE", "the certificate that goes with STINT_TLS_KEY_FILE");
  if (has("STINT_TLS_CLIENT_CA_FILE") && !has("STINT_TLS_CERT_FILE"))
    expect("STINT_TLS_CERT_FILE", "a certificate, since STINT_TLS_CLIENT_CA_FILE is set");
  if (has("STINT_REDIS_URL") && !has("STINT_MASTER_KEY")) {
    expect("STINT_MASTER_KEY", "a master key (or STINT_MASTER_KEY_FILE), since STINT_REDIS_URL is set: openssl rand -base64 32");
  }
  const cron = texts["STINT_SWEEP_CRON"];
  if (cron !== undefined && !outside.isCron(cron)) expect("STINT_SWEEP_CRON", "a cron expression that node-cron takes");
  return mistakes;
}

function assemble(given: Environment, env: Env, outside: Outside, warnings: readonly string[]): Config {
  const url = given.STINT_URL ?? "http://127.0.0.1:8420";
  const own = hostPortOf(url);
  const dataDir = resolve(outside.cwd, given.STINT_DATA_DIR ?? ".stint");
  const path = (text: string | undefined): string | undefined => (text === undefined ? undefined : resolve(outside.cwd, text));
  const [certFile, keyFile] = [path(given.STINT_TLS_CERT_FILE), path(given.STINT_TLS_KEY_FILE)];
  const metrics = given.STINT_METRICS_LISTEN ?? { host: "127.0.0.1", port: 9420 };
  const workers = given.STINT_WORKERS ?? 1;
  const cacheHome = env["XDG_CACHE_HOME"];
  return {
    url,
    listen: given.STINT_LISTEN ?? (isLoopback(own.host) ? own : { host: "0.0.0.0", port: 8420 }),
    tls:
      certFile === undefined || keyFile === undefined
        ? undefined
        : { certFile, keyFile, clientCaFile: path(given.STINT_TLS_CLIENT_CA_FILE) },
    trustedProxies: given.STINT_TRUSTED_PROXIES ?? [],
    metricsListen: metrics === "off" ? undefined : metrics,
    redis: given.STINT_REDIS_URL,
    requireAof: given.STINT_REQUIRE_AOF ?? false,
    dataDir,
    auditDir: path(given.STINT_AUDIT_DIR) ?? join(dataDir, "audit"),
    configPath: resolve(outside.cwd, given.STINT_CONFIG ?? "stint"),
    watch: given.STINT_WATCH ?? false,
    masterKey: given.STINT_MASTER_KEY === undefined ? undefined : new Secret(given.STINT_MASTER_KEY),
    operatorTokensFile: path(given.STINT_OPERATOR_TOKENS_FILE),
    sweepCron: given.STINT_SWEEP_CRON ?? "* * * * * *",
    workers: workers === "auto" ? outside.cores() : workers,
    log: { level: given.STINT_LOG_LEVEL ?? "info", format: given.STINT_LOG_FORMAT ?? (outside.isTerminal ? "text" : "json") },
    search: { searchPath: env["PATH"], cacheDir: cacheHome === undefined || cacheHome === "" ? undefined : join(cacheHome, "stint") },
    warnings,
  };
}

function unknownVariables(env: Env): string[] {
  const own = VARIABLES.flatMap(({ name, secret }) => (secret === true ? [name, `${name}_FILE`] : [name]));
  const known = [...own, ...OTHER_VARIABLES];
  const strange = Object.keys(env).filter((name) => name.startsWith("STINT_") && !known.includes(name));
  return strange.map((name) => {
    const close = nearest(name, known);
    return `${printable(name)} is no variable of Stint${close === undefined ? "" : `; did you mean ${close}?`}`;
  });
}

const expectedOf = (variable: string): string => VARIABLES.find(({ name }) => name === variable)?.expected ?? "another value";
const printable = (name: string): string => name.replace(/[^A-Z0-9_]/gi, "?").slice(0, 64);

function freeze<T extends object>(value: T): Readonly<T> {
  for (const inner of Object.values(value)) if (typeof inner === "object" && inner !== null) freeze(inner as object);
  return Object.freeze(value);
}
