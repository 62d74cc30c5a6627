import { introduce, readiness } from "../doctor/broker.ts";
import { files } from "../doctor/files.ts";
import { leftOut, type Finding } from "../doctor/finding.ts";
import { identified } from "../doctor/identity.ts";
import { figures } from "../doctor/metrics.ts";
import { operated } from "../doctor/operator.ts";
import { policy } from "../doctor/policy.ts";
import { reach } from "../doctor/reach.ts";
import { span, type Context } from "./context.ts";
import { printFindings } from "./doctor-report.ts";
import { askServerSide } from "./server-side.ts";

interface Options {
  readonly timeout?: string;
  readonly metrics?: string;
  readonly json?: string;
}

/** One step of the way may take so long; what is slower than this is found wrong. */
const STEP = "5s";

/** `stint doctor`: what is wrong with a deployment, as far as it can be seen from here. */
export async function run(context: Context, options: Options): Promise<number> {
  const { env, url, screen, clock } = context;
  const timeoutMs = span(options.timeout ?? env["STINT_TIMEOUT"] ?? STEP, "--timeout");
  const asked = { url, fetch: context.fetch, clock, timeoutMs };
  const way = await reach({ url, caFile: env["STINT_CA_FILE"] || undefined, now: clock(), timeoutMs });
  const met = whole(way) ? await introduce(asked) : [];
  const found: Finding[] = [...way, ...met];
  if (whole(found) || met.some(({ check, status }) => check === "issuer" && status === "ok"))
    found.push(...(await asking(context, options, timeoutMs)));
  else found.push(leftOut("broker", "left out while it cannot be asked: readiness, identity, everything operators see"));
  const config = env["STINT_CONFIG"];
  found.push(
    ...(await files(env)),
    ...(await policy(config || "stint", Boolean(config), (path) =>
      askServerSide("broker/commands/policy", ["check", path, "--json"], { ...env, STINT_URL: url }),
    )),
  );
  return printFindings(screen, { schema: "doctor/v1", subject: url, findings: found }, options);
}

const whole = (found: readonly Finding[]): boolean => found.every(({ status }) => status !== "fail");

async function asking(context: Context, options: Options, timeoutMs: number): Promise<readonly Finding[]> {
  const { url, fetch, clock } = context;
  const operator = context.hasOperatorToken() ? context.operator() : undefined;
  const parts = [
    readiness({ url, fetch, clock, timeoutMs }),
    identified(context.identity(), context.broker, operator !== undefined),
    operated(operator, clock()),
    figures(metricsUrl(context, options), timeoutMs),
  ];
  return (await Promise.all(parts)).flat();
}

/** Where it was said, else where a broker on this machine has it. */
function metricsUrl({ env, url }: Context, { metrics }: Options): string | undefined {
  if (metrics !== undefined) return metrics;
  const listen = env["STINT_METRICS_LISTEN"];
  if (listen === "off") return undefined;
  if (listen) return `http://${listen.replace(/^0\.0\.0\.0:/, "127.0.0.1:")}/metrics`;
  return url.startsWith("http:") ? "http://127.0.0.1:9420/metrics" : undefined;
}
