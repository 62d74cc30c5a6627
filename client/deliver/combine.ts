import { join } from "node:path";
import type { AgentKey, Delivery } from "./delivery.ts";
import { UnsuitableError } from "./unsuitable.ts";
import type { Variables } from "./variables.ts";

/** Everything a command is given: what has to be written first, and its variables. */
export interface Outfit {
  readonly variables: Variables;
  readonly files: Readonly<Record<string, string>>;
  readonly agentKeys: readonly AgentKey[];
  /** Texts that open something and are no member of a credential. */
  readonly hidden: readonly string[];
}

/**
 * Several credentials for one command. Files of the same name grow together; a variable that two of them need for different things
 * is refused; `env` is what the command would have had, where entries are to be added to its own.
 */
export function combine(deliveries: readonly Delivery[], env: Readonly<Record<string, string | undefined>> = {}): Outfit {
  const variables: Record<string, string> = { ...agreedDefaults(deliveries) };
  const files: Record<string, string> = {};
  for (const delivery of deliveries) {
    for (const [name, value] of Object.entries(delivery.variables)) {
      if (Object.hasOwn(variables, name) && variables[name] !== value)
        throw new UnsuitableError(`two credentials for one variable, ${name}`, "Give one of them another shape: --for GRANT=pgservice.");
      variables[name] = value;
    }
    for (const [name, text] of Object.entries(delivery.files ?? {})) files[name] = (files[name] ?? "") + text;
  }
  const logins = Object.assign({}, ...deliveries.map(({ docker = {} }) => docker)) as Readonly<Record<string, string>>;
  if (Object.keys(logins).length > 0)
    files[join("docker", "config.json")] = `${JSON.stringify({
      auths: Object.fromEntries(Object.entries(logins).map(([host, auth]) => [host, { auth }])),
    })}\n`;
  const agentKeys = deliveries.flatMap(({ agentKey }) => (agentKey === undefined ? [] : [agentKey]));
  Object.assign(variables, gitConfiguration(deliveries, env));
  return { variables, files, agentKeys, hidden: Object.values(logins) };
}

/** Where two disagree, neither is meant unasked: the command has to say which. */
function agreedDefaults(deliveries: readonly Delivery[]): Variables {
  const all = deliveries.flatMap(({ defaults }) => (defaults === undefined ? [] : [defaults]));
  const quarrel = (one: Variables, other: Variables): boolean =>
    Object.keys(one).some((name) => Object.hasOwn(other, name) && other[name] !== one[name]);
  return Object.assign({}, ...all.filter((one) => !all.some((other) => quarrel(one, other)))) as Variables;
}

/** git reads entries from variables that count them (git-config, "GIT_CONFIG_COUNT"); those that are there stay. */
function gitConfiguration(deliveries: readonly Delivery[], env: Readonly<Record<string, string | undefined>>): Variables {
  const entries = deliveries.flatMap(({ git = [] }) => git);
  if (entries.length === 0) return {};
  const count = /^\d{1,4}$/.test(env["GIT_CONFIG_COUNT"] ?? "") ? Number(env["GIT_CONFIG_COUNT"]) : 0;
  const numbered = entries.flatMap(([name, value], index) => [
    [`GIT_CONFIG_KEY_${count + index}`, name],
    [`GIT_CONFIG_VALUE_${count + index}`, value],
  ]);
  return { ...(Object.fromEntries(numbered) as Variables), GIT_CONFIG_COUNT: String(count + entries.length) };
}
