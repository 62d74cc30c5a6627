import type { Claims } from "../domain/principal.ts";

/** The proxies whose way of asking is spoken here: nginx `auth_request`, Envoy `ext_authz` over HTTP, Traefik ForwardAuth. */
export const PROXIES = ["nginx", "envoy", "traefik"] as const;
export type Proxy = (typeof PROXIES)[number];

/** A proxy's question as it arrives. `target` is that of its own request line. */
export interface ProxyQuestion {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** The request that the proxy asks about. */
export interface Original {
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly ip: string;
}

const HOST = /^[A-Za-z0-9._[\]:-]{0,255}$/;
const QUERY_TOKEN = /[?&]access_token=/i;

/** Where each proxy's questions arrive; Envoy puts the original path behind it. */
export const proxyPath = (proxy: Proxy): string => `/authz/${proxy}`;

/**
 * The original request, from the proxy's own family of headers and no other: a client's `X-Forwarded-Uri` says nothing at nginx,
 * nor `X-Original-URI` at Traefik. What is missing or cannot be one value is a fault.
 */
export function readOriginal(proxy: Proxy, question: ProxyQuestion): Original | { readonly fault: string } {
  const original = READ[proxy](question, (name) => one(question.headers[name]));
  if (!/^[A-Z]{1,16}$/.test(original.method)) return { fault: "the original method is missing or is none" };
  if (!HOST.test(original.host)) return { fault: "the original host is none" };
  if (original.target === "") return { fault: "the original path is missing" };
  if (QUERY_TOKEN.test(original.target)) return { fault: "an access token in a URL is refused" };
  return original;
}

type Read = (question: ProxyQuestion, header: (name: string) => string) => Original;
const READ: Readonly<Record<Proxy, Read>> = {
  nginx: (_, header) => ({
    method: header("x-original-method"),
    target: header("x-original-uri"),
    host: header("x-original-host"),
    ip: header("x-original-ip"),
  }),
  envoy: ({ method, target }, header) => ({ method, target: target.slice(proxyPath("envoy").length), host: header("host"), ip: "" }),
  traefik: (_, header) => ({
    method: header("x-forwarded-method"),
    target: header("x-forwarded-uri"),
    host: header("x-forwarded-host"),
    // the last hop is the one that Traefik saw itself
    ip: header("x-forwarded-for").split(",").at(-1)?.trim() ?? "",
  }),
};

/** A header that stands twice is no method, no host and no path: joined it cannot pass for one. */
const one = (value: string | readonly string[] | undefined): string => (typeof value === "string" ? value : (value?.join(", ") ?? ""));

/** What was found about the original request, whoever asked. */
export type Finding =
  | { readonly kind: "allowed"; readonly token: Claims; readonly decisionId: string }
  /** The token is missing or not honoured; `challenge` is the whole of WWW-Authenticate. */
  | {
      readonly kind: "unauthorized";
      readonly code: string;
      readonly message: string;
      readonly challenge: string;
      readonly denialId?: string | undefined;
    }
  | {
      readonly kind: "forbidden";
      readonly code: string;
      readonly message: string;
      readonly challenge?: string;
      readonly denialId?: string | undefined;
    }
  /** Nothing was decided: a dependency is away, or there is too much to do. */
  | { readonly kind: "unable"; readonly code: string; readonly message: string; readonly retryAfterSeconds: number };

export interface ProxyAnswer {
  readonly status: 200 | 401 | 403 | 503;
  /** Flat pairs. */
  readonly headers: readonly string[];
  /** JSON; nginx throws it away, the others hand it to the client. */
  readonly body?: string;
}

/**
 * The answer in the words that the proxy understands. nginx knows 200, 401 and 403 and turns anything else into its own 500, so that
 * being unable is a 403 there. 200 carries every `X-Stint-` header, empty where there is nothing to say: what a proxy copies
 * upstream then always replaces what the client sent.
 */
export function proxyAnswer(proxy: Proxy, finding: Finding): ProxyAnswer {
  if (finding.kind === "allowed") return { status: 200, headers: identity(finding.token, finding.decisionId) };
  const { kind, code, message } = finding;
  const status = kind === "unauthorized" ? 401 : kind === "forbidden" || proxy === "nginx" ? 403 : 503;
  const headers = ["X-Stint-Error", code];
  const denialId = kind === "unable" ? undefined : finding.denialId;
  if (denialId !== undefined) headers.push("X-Stint-Decision-Id", denialId);
  if (kind === "unable") headers.push("Retry-After", String(finding.retryAfterSeconds));
  else if (finding.challenge !== undefined) headers.push("WWW-Authenticate", finding.challenge);
  const body = { title: TITLES[kind], status, detail: message, code, ...(denialId === undefined ? {} : { denial_id: denialId }) };
  return { status, headers, body: JSON.stringify(body) };
}

const TITLES = { unauthorized: "Token not accepted", forbidden: "Not allowed", unable: "Not decided" } as const;

function identity(token: Claims, decisionId: string): readonly string[] {
  const of = (claim: string): string => headerText(token[claim]);
  const who = ["X-Stint-Subject", of("sub"), "X-Stint-Workload", of("workload"), "X-Stint-Task", of("task_id")];
  return [...who, "X-Stint-Lease", of("lease_id"), "X-Stint-Scope", of("scope"), "X-Stint-Decision-Id", decisionId];
}

/** A claim as a header can hold it: what is not printable ASCII is percent-encoded. */
const headerText = (value: unknown): string =>
  typeof value === "string" ? value.replaceAll(/[^\x20-\x7e]+/gu, (text) => encodeURIComponent(text.replaceAll(/\p{Cs}/gu, "\ufffd"))) : "";

/** A Bearer challenge (RFC 6750 section 3): every value quoted, printable ASCII without quote and backslash. */
export function bearerChallenge(parameters: Readonly<Record<string, string | undefined>>): string {
  const written = Object.entries(parameters).flatMap(([name, value]) =>
    value === undefined || value === "" ? [] : [`${name}="${value.replaceAll(/[^\x20-\x7e]|["\\]/g, " ")}"`],
  );
  return `Bearer ${written.join(", ")}`;
}
