import { stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../errors.ts";
import type { Environment } from "../identity/source.ts";
import { bad, ok, warn, type Finding } from "./finding.ts";

/** Less free than this stops the audit soon, and with it all issuing. */
const FREE = { low: 0.1, gone: 0.02 } as const;

interface Kept {
  readonly check: string;
  readonly path: string;
  /** Who may read it beside its owner: nobody, or whoever a platform that mounts it lets. */
  readonly readers: "nobody" | "mounted";
}

/** Files of a broker and of an operator on this machine: who may read them, and whether there is room to go on. Nothing here: nothing said. */
export async function files(env: Environment): Promise<readonly Finding[]> {
  const data = env["STINT_DATA_DIR"] || ".stint";
  const kept: Kept[] = [
    { check: "master key", path: join(data, "master-key"), readers: "nobody" },
    { check: "operators", path: join(data, "operators"), readers: "nobody" },
    ...named(env, "master key", "STINT_MASTER_KEY_FILE"),
    ...named(env, "operators", "STINT_OPERATOR_TOKENS_FILE"),
    ...named(env, "operator token", "STINT_OPERATOR_TOKEN_FILE"),
  ];
  const modes = await Promise.all(kept.map(judgeMode));
  const rooms = await Promise.all([...new Set([data, env["STINT_AUDIT_DIR"] || join(data, "audit")])].map(room));
  return [...modes, ...rooms].filter((one) => one !== undefined);
}

const named = (env: Environment, check: string, variable: string): Kept[] => {
  const path = env[variable];
  return path ? [{ check, path, readers: "mounted" }] : [];
};

async function judgeMode({ check, path, readers }: Kept): Promise<Finding | undefined> {
  let mode: number;
  try {
    ({ mode } = await stat(path));
  } catch (error) {
    if (readers === "nobody") return undefined;
    return bad(check, `${path} cannot be read (${systemCode(error) ?? "unreadable"})`, { next: "Correct the variable that names it." });
  }
  const octal = (mode & 0o777).toString(8).padStart(4, "0");
  const rest = { why: "Whoever reads it can be what it makes of its holder.", next: `chmod 600 ${path}` };
  if ((mode & 0o022) !== 0) return bad(check, `${path} may be written by others (${octal})`, rest);
  if ((mode & 0o044) === 0) return ok(check, `${path} is for its owner only`);
  const what = `${path} may be read by others (${octal})`;
  return readers === "nobody"
    ? bad(check, what, rest)
    : warn(check, what, { ...rest, next: `${rest.next}, unless the platform mounts it so` });
}

async function room(folder: string): Promise<Finding | undefined> {
  try {
    const { bavail, blocks } = await statfs(folder);
    const free = blocks === 0 ? 1 : bavail / blocks;
    const what = `${Math.floor(free * 100)} % of the disk under ${folder} is free`;
    const rest = { why: "When audit files cannot be written, nothing is issued.", next: "Make room, or move STINT_AUDIT_DIR." };
    if (free < FREE.gone) return bad("disk", what, rest);
    return free < FREE.low ? warn("disk", what, rest) : ok("disk", what);
  } catch {
    return undefined;
  }
}
