import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import type { z } from "zod";
import type { StintError } from "../../domain/errors.ts";
import type { Secret } from "../../domain/secret.ts";
import type { Clock } from "../../domain/time.ts";
import type { Verifier } from "../policy/policy.ts";
import type { Caller, IdempotencyHint, Operator, Origin, Role, Services } from "../services.ts";
import type { Door } from "./authenticate.ts";
import type { Lanes } from "./lanes.ts";
import type { Pacer } from "./pacer.ts";

/**
 * Who may call a route: anybody; whoever sends evidence or a token as Bearer, which the service then judges (`bearer`); the
 * holder of the thing or any operator (`holder`); a verifier; or an operator whose role reaches.
 */
export type Access = "open" | "bearer" | "holder" | "verifier" | Role;

/** What a handler answers: JSON unless `type` says otherwise (then the body is text). `headers` are flat pairs. */
export interface Answer {
  readonly status: number;
  readonly body?: unknown;
  readonly type?: string;
  readonly headers?: readonly string[];
  /** What the log line says of it; an error says so itself. */
  readonly about?: {
    readonly code?: string;
    readonly denialId?: string | undefined;
    readonly decisionId?: string;
    readonly caller?: string;
  };
}

/** An answer that goes on: the handler writes to the response until either side ends. */
export interface Streaming {
  /** Server-sent events unless said otherwise. */
  readonly type?: string;
  readonly stream: (response: ServerResponse) => void;
}

type CallerOf<A extends Access> = A extends "bearer"
  ? { readonly token: Secret }
  : A extends "holder"
    ? { readonly caller: Caller }
    : A extends "verifier"
      ? { readonly verifier: Verifier }
      : A extends Role
        ? { readonly operator: Operator }
        : object;

/** One request as a handler sees it: parsed, its caller known. */
export type Call<A extends Access = Access, B = unknown, Q = unknown> = CallerOf<A> & {
  readonly params: Readonly<Record<string, string>>;
  readonly body: B;
  readonly query: Q;
  readonly headers: IncomingHttpHeaders;
  readonly origin: Origin;
  /** The request line, as it came; and whether it came straight from a proxy that we trust. */
  readonly line: { readonly method: string; readonly target: string; readonly fromProxy: boolean };
  readonly idempotency: IdempotencyHint | undefined;
};

/** What handlers may reach. */
export interface House {
  readonly services: Services;
  readonly door: Door;
  readonly clock: Clock;
  /** The OpenAPI document, as JSON text. */
  readonly openapi: () => string;
  /** Whether a client's certificate can reach us at all. */
  readonly bindsCertificates: boolean;
  /** Long connections that are open now. */
  readonly watchers: { open: number };
  readonly lanes: Lanes;
  readonly pacer: Pacer;
}

interface Shape<A extends Access, B extends z.ZodType, Q extends z.ZodType> {
  readonly method: "GET" | "POST" | "DELETE";
  /** With `{name}` for parameters, as OpenAPI and metrics write it. */
  readonly path: string;
  readonly access: A;
  readonly summary: string;
  readonly body?: B;
  /** `form` at /oauth2; JSON elsewhere. */
  readonly encoding?: "form";
  readonly query?: Q;
  /** Status -> schema of the body; null where there is none or it is no JSON. */
  readonly answers: Readonly<Record<number, z.ZodType | null>>;
  /** True where a request may prove keys although its access is `open`; `bearer` and `holder` routes always let it. */
  readonly proofs?: true;
  /** True for documents that any web page may read (CORS `*`). */
  readonly shared?: true;
}

/** One line of the route table, ready to serve and to document. */
export interface Route extends Shape<Access, z.ZodType, z.ZodType> {
  /** Answers errors in other words than a problem or an OAuth error. */
  readonly refuse?: (error: StintError) => Answer;
  readonly handle: (call: Call, house: House) => Promise<Answer | Streaming> | Answer | Streaming;
}

/** Declares a route: its handler receives what its access, body and query say, checked. */
export function route<const A extends Access, B extends z.ZodType = z.ZodUnknown, Q extends z.ZodType = z.ZodUnknown>(
  declared: Shape<A, B, Q> & {
    readonly handle: (call: Call<A, z.infer<B>, z.infer<Q>>, house: House) => Promise<Answer | Streaming> | Answer | Streaming;
  },
): Route {
  // serve() fills the call by exactly these declarations, which the compiler cannot see
  return declared as unknown as Route;
}
