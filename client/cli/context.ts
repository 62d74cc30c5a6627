import { accessSync, constants, readFileSync } from "node:fs";
import { formatDuration, parseDuration, systemClock, type Clock } from "../../domain/time.ts";
import { BrokerClient } from "../broker-client.ts";
import type { Connection } from "../call.ts";
import { IdentityError, systemCode } from "../errors.ts";
import { autoIdentity } from "../identity.ts";
import type { Environment, Identity } from "../identity/source.ts";
import { OperatorClient } from "../operator-client.ts";
import { UsageError } from "./exit-codes.ts";
import { note, type Screen } from "./screen.ts";

/** What every command gets. */
export interface Context {
  readonly env: Environment;
  readonly screen: Screen;
  readonly clock: Clock;
  /** Origin of the broker. */
  readonly url: string;
  readonly broker: BrokerClient;
  /** Trusts STINT_CA_FILE, where it is set. */
  readonly fetch: typeof fetch;
  /** Who this is, by platform. */
  identity(): Identity;
  /** Throws `UsageError` when there is no operator token. */
  operator(): OperatorClient;
  hasOperatorToken(): boolean;
}

/** Options that every command which talks to a broker takes. */
export interface ConnectionOptions {
  readonly url?: string;
  readonly timeout?: string;
}

/** The context from flags and environment. How to reach a broker is read when it is first needed: not every command talks to one. */
export function contextOf(options: ConnectionOptions, env: Environment, screen: Screen): Context {
  let connection: Connection | undefined;
  let broker: BrokerClient | undefined;
  const reach = (): Connection => (connection ??= connectionOf(options, env, screen));
  return {
    env,
    screen,
    clock: systemClock,
    get url() {
      return reach().url;
    },
    get broker() {
      return (broker ??= new BrokerClient(reach()));
    },
    get fetch() {
      return reach().fetch ?? fetch;
    },
    identity: () => autoIdentity({ env, audience: reach().url }),
    operator: () => new OperatorClient(reach(), operatorToken(env)),
    hasOperatorToken: () => Boolean(env["STINT_OPERATOR_TOKEN"] ?? env["STINT_OPERATOR_TOKEN_FILE"]),
  };
}

/** Reads the variables and opens no connection yet. */
function connectionOf(options: ConnectionOptions, env: Environment, screen: Screen): Connection {
  const caFile = readable(env["STINT_CA_FILE"]);
  return {
    url: brokerUrl(options.url ?? env["STINT_URL"] ?? "http://127.0.0.1:8420"),
    timeoutMs: span(options.timeout ?? env["STINT_TIMEOUT"] ?? "10s", "--timeout"),
    clock: systemClock,
    ...(caFile ? { fetch: trusting(caFile) } : {}),
    onRetry: (error, pauseMs) => note(screen, `  ${error.message}; trying again in ${formatDuration(pauseMs)}`),
  };
}

function readable(caFile: string | undefined): string | undefined {
  if (!caFile) return undefined;
  try {
    accessSync(caFile, constants.R_OK);
    return caFile;
  } catch (error) {
    throw new UsageError(`STINT_CA_FILE: ${caFile} cannot be read (${systemCode(error) ?? "unreadable"})`);
  }
}

/** A fetch that also trusts the file's authorities; what it needs is loaded with the first request. */
function trusting(caFile: string): typeof fetch {
  let made: typeof fetch | undefined;
  return async (input, init) => {
    made ??= (await import("../https-fetch.ts")).fetchTrusting(caFile);
    return await made(input, init);
  };
}

/** Evidence and operator tokens travel to this address: in the clear only on this machine. */
function brokerUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (
    url === undefined ||
    (url.protocol !== "https:" && url.protocol !== "http:") ||
    url.username !== "" ||
    url.search !== "" ||
    (url.pathname !== "/" && url.pathname !== "")
  ) {
    throw new UsageError(
      "STINT_URL is not the address of a broker",
      "Expected an origin without a path, for example https://stint.example.com",
    );
  }
  const loopback = url.hostname === "localhost" || url.hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(url.hostname);
  if (url.protocol === "http:" && !loopback)
    throw new UsageError(`STINT_URL ${url.origin} is not encrypted`, "Use https; plain http is for a broker on this machine only.");
  return url.origin;
}

/** A span in milliseconds; `name` is where it stood. */
export function span(text: string, name: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms <= 0)
    throw new UsageError(`${name}: "${text}" is not a span of time`, 'Expected for example "90s", "10m" or "1h30m".');
  return ms;
}

/** A secret from `NAME` or the file that `NAME_FILE` names. */
export function secretVariable(env: Environment, name: string): string | undefined {
  const file = env[`${name}_FILE`];
  if (file) {
    try {
      return readFileSync(file, "utf8").trim() || undefined;
    } catch (error) {
      const code = systemCode(error) ?? "unreadable";
      throw new UsageError(`${name}_FILE: ${file} cannot be read (${code})`);
    }
  }
  return env[name]?.trim() || undefined;
}

function operatorToken(env: Environment): string {
  const token = secretVariable(env, "STINT_OPERATOR_TOKEN");
  if (token !== undefined) return token;
  throw new IdentityError("this command is for operators, and there is no operator token", {
    code: "no_operator_token",
    body: { hint: "Set STINT_OPERATOR_TOKEN_FILE to a file that holds it. `stint operator add NAME --role R` makes one." },
  });
}
