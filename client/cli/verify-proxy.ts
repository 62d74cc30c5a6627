import { parseHostPort } from "../../domain/host-port.ts";
import { toRfc3339 } from "../../domain/time.ts";
import { systemCode } from "../errors.ts";
import { startVerifyProxy, type Address } from "../verify-proxy/verify-proxy.ts";
import { secretVariable, span, type Context } from "./context.ts";
import { UsageError } from "./exit-codes.ts";
import { note } from "./screen.ts";

interface Options {
  readonly verifier?: string;
  readonly listen: string;
  readonly metrics?: string;
  readonly maxStaleness: string;
  readonly onStale: "deny" | "introspect";
  readonly routesCache?: string;
}

/** `stint verify-proxy` */
export async function run(context: Context, options: Options): Promise<number> {
  const { env, screen, clock, url } = context;
  const name = options.verifier ?? env["STINT_VERIFIER"];
  const key = secretVariable(env, "STINT_VERIFIER_KEY");
  if (name === undefined || name === "")
    throw new UsageError("for which verifier?", "Give --verifier NAME, the name of a Verifier document.");
  if (key === undefined)
    throw new UsageError(
      "there is no key of the verifier",
      "Set STINT_VERIFIER_KEY_FILE to a file that holds it. `stint verifier add NAME --audience A` makes one.",
    );
  const log = (event: string, facts: Readonly<Record<string, unknown>>): void =>
    void screen.out.write(`${JSON.stringify({ time: toRfc3339(clock()), event, ...facts })}\n`);
  const proxy = await startVerifyProxy({
    url,
    name,
    key,
    listen: address(options.listen, "--listen"),
    metrics: options.metrics === undefined ? undefined : address(options.metrics, "--metrics"),
    maxStalenessMs: span(options.maxStaleness, "--max-staleness"),
    onStale: options.onStale,
    routesCache: options.routesCache,
    clock,
    fetch: context.fetch,
    log,
  }).catch((error: unknown) => {
    throw systemCode(error) === "EADDRINUSE" ? new UsageError(`${options.listen} is in use`, "Choose another --listen.") : error;
  });
  log("listening", { address: `${proxy.address.host}:${proxy.address.port}` });
  await stopped();
  note(screen, "stopping");
  await proxy[Symbol.asyncDispose]();
  return 0;
}

function address(text: string, option: string): Address {
  const parsed = parseHostPort(text);
  if ("wrong" in parsed) throw new UsageError(`${option}: ${parsed.wrong}`, "Expected host:port, for example 127.0.0.1:8430.");
  return parsed.value;
}

const stopped = (): Promise<void> =>
  new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
