import { setTimeout as sleep } from "node:timers/promises";
import type { Context } from "./context.ts";
import { DEV_GRANT, writeDevFiles, type DevFiles } from "./dev/files.ts";
import { devIdentity } from "./dev/identity.ts";
import { UsageError } from "./exit-codes.ts";
import { writePrivateFile } from "../deliver/private-file.ts";
import { note } from "./screen.ts";
import { runServerSide } from "./server-side.ts";

/** The toy job's evidence is made anew this often; it is good for five minutes. */
const EVIDENCE_MS = 60_000;

/** `stint dev`: a real broker with a real Redis, and a toy job whose evidence lies in a file. */
export async function run(context: Context, options: { readonly port: string; readonly folder: string }): Promise<number> {
  if (!/^\d{1,5}$/.test(options.port) || Number(options.port) < 1 || Number(options.port) > 65_535)
    throw new UsageError(`--port: "${options.port}" is not a port`);
  const url = `http://127.0.0.1:${options.port}`;
  const identity = await devIdentity(context.clock);
  const files = await writeDevFiles(options.folder, identity);
  const renew = async (): Promise<void> => await writePrivateFile(files.idToken, await identity.token(url));
  await renew();
  const renewing = setInterval(
    () => void renew().catch((error: unknown) => note(context.screen, `! ${files.idToken}: ${String(error)}`)),
    EVIDENCE_MS,
  );
  const done = new AbortController();
  void announce(context, url, files, done.signal);
  try {
    return await runServerSide("broker/main", [], brokerEnvironment(context, url, files));
  } finally {
    done.abort();
    clearInterval(renewing);
  }
}

/** Only what a broker to play with needs: nothing of a real one's environment gets in. */
function brokerEnvironment({ env }: Context, url: string, files: DevFiles): Record<string, string | undefined> {
  const plain = Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("STINT_")));
  return {
    STINT_LOG_LEVEL: "warn",
    ...plain,
    STINT_URL: url,
    STINT_DATA_DIR: files.data,
    STINT_CONFIG: files.config,
    STINT_OPERATOR_TOKENS_FILE: files.operators,
    STINT_METRICS_LISTEN: "off",
  };
}

async function announce({ screen }: Context, url: string, files: DevFiles, signal: AbortSignal): Promise<void> {
  const ready = (): Promise<boolean> =>
    fetch(`${url}/readyz`, { signal }).then(
      (answer) => answer.ok,
      () => false,
    );
  while (!signal.aborted && !(await ready())) await sleep(200, undefined, { signal }).catch(() => undefined);
  if (signal.aborted) return;
  const { errColor: color } = screen;
  note(screen, color.red(`! For playing on this machine only: whoever reads ${files.folder} can do everything here.`));
  note(screen, `${color.green("✓")} broker at ${url}; it grants ${DEV_GRANT} to a toy job. In another terminal:\n`);
  note(screen, `  export STINT_URL=${url} STINT_ID_TOKEN_FILE=${files.idToken} STINT_OPERATOR_TOKEN_FILE=${files.operatorToken}`);
  note(screen, `  stint exec --for ${DEV_GRANT}=TOKEN -- sh -c 'echo "a token of \${#TOKEN} characters"; sleep 20'`);
  note(screen, "  stint lease ls");
  note(screen, "  stint revoke --workload dev/toy-job --lock 1h --reason drill");
  note(screen, "  stint audit tail\n\nCtrl-C ends it.");
}
