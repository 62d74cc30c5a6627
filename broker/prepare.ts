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
export interface Adopted {
  readonly redis: RedisTarget;
  readonly masterKeys: readonly Buffer[];
  readonly operators: () => Promise<{ readonly file: string; readonly text: string }>;
}

/** The same, and what is done once per start however many processes serve. */
export interface Prepared extends Adopted {
  /** Our own Redis, to be stopped last. */
  readonly embedded: EmbeddedRedis | undefined;
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
  if (config.redis !== undefined) return { ...(await adopt(config, undefined)), embedded: undefined, firstToken: undefined };
  const embedded = await startEmbeddedRedis({ dataDir: config.dataDir, log, ...config.search });
  try {
    const firstToken = config.operatorTokensFile === undefined ? await firstOperator(join(config.dataDir, "operators")) : undefined;
    return { ...(await adopt(config, embedded.socketPath)), embedded, firstToken };
  } catch (error) {
    await embedded.stop();
    throw error;
  }
}

/** The same for a process beside the one that prepared: `socketPath` is where that one's embedded Redis listens, where it has one. */
export async function adopt(config: Config, socketPath: string | undefined): Promise<Adopted> {
  const redis: RedisTarget | undefined = socketPath === undefined ? config.redis : { kind: "socket", path: socketPath };
  if (redis === undefined) throw new Unusable("no Redis: neither one of our own nor STINT_REDIS_URL");
  const ours = socketPath !== undefined;
  const kept = async (): Promise<Secret> =>
    ours ? keptSecret(join(config.dataDir, "master-key"), () => newMasterKey().reveal()) : new Secret("");
  const masterKeys = parseMasterKeys(config.masterKey ?? (await kept()));
  return {
    redis,
    masterKeys,
    operators: operatorsFrom(config.operatorTokensFile ?? (ours ? join(config.dataDir, "operators") : undefined)),
  };
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

function operatorsFrom(file: string | undefined): Adopted["operators"] {
  return async () => {
    if (file === undefined) return { file: "", text: "" };
    try {
      return { file, text: await readFile(file, "utf8") };
    } catch (error) {
      throw new Unusable(`STINT_OPERATOR_TOKENS_FILE: expected a file that can be read`, { cause: error });
    }
  };
}
