import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { proxyAnswer, proxyPath, PROXIES, type Finding, type Proxy } from "../../actions/proxies.ts";
import type { VerifierState } from "../verify/index.ts";
import { find, type Oracle } from "./answer.ts";

/** As the broker's own listener: half a request may stand open for ten seconds, and a token of 16 KiB must fit. */
const LIMITS = { headersTimeout: 10_000, requestTimeout: 12_000, keepAliveTimeout: 65_000, maxHeaderSize: 32_768, requireHostHeader: true };
const MAX_AT_ONCE = 1_000;

export interface ProxyServerOptions {
  /** Undefined while the routes are not known. */
  readonly oracle: () => Oracle | undefined;
  readonly state: () => VerifierState | undefined;
  readonly failed: (error: unknown) => void;
}

/** Counts of answers, by proxy and outcome. */
export type Counts = ReadonlyMap<string, number>;

/** The listener that proxies ask, and what it has answered. */
export function createProxyServer(options: ProxyServerOptions): { readonly server: Server; readonly counts: Counts } {
  const counts = new Map<string, number>();
  let atOnce = 0;

  async function findingFor(proxy: Proxy, request: IncomingMessage): Promise<Finding> {
    const oracle = options.oracle();
    if (oracle === undefined) return { kind: "unable", code: "not_ready", message: "the routes are not known yet", retryAfterSeconds: 1 };
    if (atOnce >= MAX_AT_ONCE) return { kind: "unable", code: "overloaded", message: "too many questions at once", retryAfterSeconds: 1 };
    atOnce += 1;
    try {
      return await find(proxy, request, oracle);
    } finally {
      atOnce -= 1;
    }
  }

  async function answer(proxy: Proxy, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const finding = await findingFor(proxy, request);
    const { status, headers, body } = proxyAnswer(proxy, finding);
    const label = `${proxy} ${finding.kind}`;
    counts.set(label, (counts.get(label) ?? 0) + 1);
    write(response, status, body ?? "", "application/problem+json", headers);
  }

  const server = createServer(LIMITS, (request, response) => {
    request.resume();
    const path = (request.url ?? "").split("?", 1)[0] ?? "";
    const proxy = PROXIES.find((one) => path === proxyPath(one) || (one === "envoy" && path.startsWith(`${proxyPath(one)}/`)));
    if (proxy !== undefined)
      return void answer(proxy, request, response).catch((error: unknown) => {
        options.failed(error);
        response.destroy();
      });
    if (path === "/healthz" || path === "/livez") return write(response, 200, "ok\n", "text/plain");
    if (path === "/readyz") return ready(options, response);
    return write(response, 404, "", "text/plain");
  });
  return { server, counts };
}

function ready({ oracle, state }: ProxyServerOptions, response: ServerResponse): void {
  const fresh = oracle() !== undefined && state()?.fresh === true;
  write(response, fresh ? 200 : 503, fresh ? "ready\n" : "not ready\n", "text/plain");
}

function write(response: ServerResponse, status: number, body: string, type: string, headers: readonly string[] = []): void {
  const about = body === "" ? [] : ["Content-Type", type];
  response.writeHead(status, [...headers, ...about, "Cache-Control", "no-store", "Content-Length", String(Buffer.byteLength(body))]);
  response.end(body);
}

/** What `/metrics` says, in Prometheus' text format. */
export function metricsText(counts: Counts, state: VerifierState | undefined): string {
  const answers = [...counts].map(([label, count]) => {
    const [proxy = "", outcome = ""] = label.split(" ");
    return `stint_verify_proxy_answers_total{proxy="${proxy}",outcome="${outcome}"} ${count}`;
  });
  const gauge = (name: string, help: string, value: number): readonly string[] => [
    `# HELP stint_verify_proxy_${name} ${help}`,
    `# TYPE stint_verify_proxy_${name} gauge`,
    `stint_verify_proxy_${name} ${value}`,
  ];
  return [
    "# HELP stint_verify_proxy_answers_total Questions of proxies, by what was found.",
    "# TYPE stint_verify_proxy_answers_total counter",
    ...answers,
    ...gauge("fresh", "Whether what is known about revocations is fresh enough to let anything through.", state?.fresh === true ? 1 : 0),
    ...gauge("staleness_seconds", "How old it is.", (state?.staleMs ?? 0) / 1000),
    ...gauge("connected", "Whether the feed is open.", state?.connected === true ? 1 : 0),
    ...gauge("revoked_leases", "Revoked leases that are held.", state?.revoked.leases ?? 0),
    "",
  ].join("\n");
}
