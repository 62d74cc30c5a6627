import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Secret } from "../domain/secret.ts";
import { startEmbeddedRedis, type EmbeddedRedis } from "../store/embedded/launch.ts";
import type { RedisTarget } from "../store/redis-target.ts";
import { newMasterKey, parseMasterKeys } from "../store/sealing.ts";
import type { Config } from "./config.ts";
import { newOperatorToken } from "./operators.ts";
import type { Log } from "./parts.ts";

/** What a broker needs from outside before it can be made. */
export interface Prepared {
  readonly redis: RedisTarget;
  /** Our own Redis, to be stopped last. */
  readonly embedded: EmbeddedRedis | undefined;
  readonly masterKeys: readonly Buffer[];
  readonly operators: () => Promise<{ readonly file: string; readonly text: string }>;
  /** The generated admin token, to be shown once. */
  readonly firstToken: Secret | undefined;
}

/** Something the configuration names cannot be used. */
export class Unusable extends Error {
  override readonly name = "Unusable";
  readonly exitCode = 78;
}

/** Starts or finds Redis, and reads or makes master key and operators. */
export async function prepare(config: Config, log: Log): Promise<Prepared> {
  if (config.redis !== undefined) {
    const masterKeys = parseMasterKeys(config.masterKey ?? new Secret(""));
    return {
      redis: config.redis,
      embedded: undefined,
      masterKeys,
      operators: operatorsFrom(config.operatorTokensFile),
      firstToken: undefined,
    };
  }
  const embedded = await startEmbeddedRedis({ dataDir: config.dataDir, log, ...config.search });
  try {
    const masterKeys = parseMasterKeys(
      config.masterKey ?? (await keptSecret(join(config.dataDir, "master-key"), () => newMasterKey().reveal())),
    );
    const first = config.operatorTokensFile === undefined ? await firstOperator(join(config.dataDir, "operators")) : undefined;
    const operators = operatorsFrom(config.operatorTokensFile ?? join(config.dataDir, "operators"));
    return { redis: { kind: "socket", path: embedded.socketPath }, embedded, masterKeys, operators, firstToken: first };
  } catch (error) {
    await embedded.stop();
    throw error;
  }
}

/** A secret in a file that only we may read; made when it is not there yet. Never replaces one. */
async function keptSecret(path: string, make: () => string): Promise<Secret> {
  await mkdir(join(path, ".."), { recursive: true, mode: 0o700 });
  try {
    await writeFile(path, `${make()}\n`, { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST"))
      throw new Unusable(`${path} cannot be written`, { cause: error });
  }
  await chmod(path, 0o600);
  return new Secret((await readFile(path, "utf8")).trim());
}

/** One admin, at the first start on a data directory: the token is returned only by the start that made it. */
async function firstOperator(path: string): Promise<Secret | undefined> {
  const { token, line } = newOperatorToken("admin", "admin");
  const kept = await keptSecret(path, () => line);
  return kept.reveal() === line ? token : undefined;
}

function operatorsFrom(file: string | undefined): Prepared["operators"] {
  return async () => {
    if (file === undefined) return { file: "", text: "" };
    try {
      return { file, text: await readFile(file, "utf8") };
    } catch (error) {
      throw new Unusable(`STINT_OPERATOR_TOKENS_FILE: expected a file that can be read`, { cause: error });
    }
  };
}
