import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const MAKER_KEY = "0123456789abcdef0123456789abcdef-of-this-test";

/** The maker of `examples/http-maker`, as its own process. */
export interface ExampleMaker extends AsyncDisposable {
  readonly url: string;
  kill9(): Promise<void>;
}

export async function startExampleMaker(redis: { readonly host: string; readonly port: number }): Promise<ExampleMaker> {
  const folder = await mkdtemp(join(tmpdir(), "stint-maker-"));
  await writeFile(join(folder, "key"), `${MAKER_KEY}\n`, { mode: 0o600 });
  const program = join(import.meta.dirname, "../../../examples/http-maker/maker.mjs");
  const child: ChildProcess = spawn(process.execPath, [program], {
    env: {
      ...process.env,
      MAKER_KEY_FILE: join(folder, "key"),
      MAKER_PORT: "0",
      REDIS_HOST: redis.host,
      REDIS_PORT: String(redis.port),
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (child.stdout === null) throw new Error("the maker has no output");
  const lines = createInterface({ input: child.stdout });
  const [line] = (await once(lines, "line")) as [string];
  lines.close();
  const kill9 = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  return {
    url: line.replace("maker at ", ""),
    kill9,
    [Symbol.asyncDispose]: async () => {
      await kill9();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
