import { answerTo, type AnswerSettings } from "./challenge.ts";
import type { AccessTokenClaims } from "./claims.ts";
import { VerifyError } from "./errors.ts";
import type { JsonObject } from "./json.ts";
import { resourceMetadata, type ResourceMetadataOptions } from "./metadata.ts";
import { checkNeeds, scopeList } from "./needs.ts";
import type { VerifierOptions } from "./options.ts";
import { readAuthorization, refuseQueryToken, type Presentation } from "./presentation.ts";
import { answerSettings, type AnswerOptions } from "./protect.ts";
import type { Verified } from "./known-tokens.ts";
import { Verifier, createVerifier } from "./verifier.ts";

/** What handlers find at `req.auth`, as users of express-oauth2-jwt-bearer know it. */
export interface Auth {
  readonly payload: AccessTokenClaims;
  readonly header: JsonObject;
  readonly token: string;
}

declare global {
  // the way @types/express leaves open for members that middleware adds
  // oxlint-disable-next-line typescript/no-namespace
  namespace Express {
    interface Request {
      auth?: Auth;
    }
  }
}

/** The parts of Express's request that are looked at; any framework with requests like Node's will do. */
export interface ExpressRequest {
  readonly method: string;
  readonly url: string;
  readonly originalUrl?: string;
  readonly baseUrl?: string;
  readonly route?: unknown;
  readonly ip?: string | undefined;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly rawHeaders: readonly string[];
  readonly body?: unknown;
  readonly socket?: unknown;
  auth?: Auth;
}

export interface ExpressResponse {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(body?: string): unknown;
  once(event: "finish", listener: () => void): unknown;
}

export type Next = (error?: unknown) => void;
export type Middleware = (request: ExpressRequest, response: ExpressResponse, next: Next) => void | Promise<void>;

export interface ProtectOptions extends AnswerOptions {
  /** DER of the client's certificate, where tokens are bound to one and TLS ends before us; from our own TLS by default. */
  readonly certificateOf?: (request: ExpressRequest) => Uint8Array | undefined;
}

/** What `protect` knows about a request, for what stands behind it. */
interface Guard {
  readonly verifier: Verifier;
  readonly settings: AnswerSettings;
  readonly verified: Verified;
}
const guards = new WeakMap<object, Guard>();

/**
 * Middleware: requests with a token that is honoured go on with `req.auth`, all others are answered here (RFC 6750). Takes a
 * verifier, or the options of one, which it then creates; `middleware.verifier` is it.
 */
export function protect(
  options: (VerifierOptions & ProtectOptions) | Verifier,
  more: ProtectOptions = {},
): Middleware & { readonly verifier: Verifier } {
  const verifier = options instanceof Verifier ? options : createVerifier(options);
  const own: ProtectOptions = options instanceof Verifier ? more : options;
  const settings = answerSettings(verifier, own);
  const middleware: Middleware = async (request, response, next) => {
    let verified: Verified;
    try {
      verified = await admit(verifier, request, own);
    } catch (error) {
      refuse(error, settings, response, next);
      return;
    }
    request.auth = { payload: verified.payload, header: verified.header, token: verified.token };
    guards.set(request, { verifier, settings, verified });
    for (const [name, value] of Object.entries(verified.headers ?? {})) response.setHeader(name, value);
    response.once("finish", () => verifier.used(verified, { route: routeOf(request), source: request.ip }));
    next();
  };
  return Object.assign(middleware, { verifier });
}

/** Middleware behind `protect`: the token must have all of these scopes. */
export function requireScope(...scopes: readonly string[]): Middleware {
  const needed = scopeList(...scopes);
  if (needed.length === 0) throw new TypeError("requireScope needs at least one scope");
  return needing(() => ({ scope: needed }));
}

/** Middleware behind `protect`: the token must belong to a task, or to the one that the request is about. */
export function requireTask(taskOf?: (request: ExpressRequest) => string | undefined): Middleware {
  // a request that names no task is about none: the token's cannot be it
  return needing((request) => ({ task: taskOf === undefined ? true : (taskOf(request) ?? "none") }));
}

function needing(needs: (request: ExpressRequest) => Parameters<typeof checkNeeds>[1]): Middleware {
  return (request, response, next) => {
    const guard = guards.get(request);
    if (guard === undefined) {
      next(new Error("requireScope and requireTask need protect() before them on the same route"));
      return;
    }
    try {
      checkNeeds(guard.verified, needs(request));
    } catch (error) {
      if (error instanceof VerifyError) guard.verifier.refused(error);
      refuse(error, guard.settings, response, next);
      return;
    }
    next();
  };
}

/** Handler of our protected resource metadata (RFC 9728), for `app.use`: it answers at its own path and lets all else pass. */
export function resourceMetadataHandler(verifier: Verifier, options: ResourceMetadataOptions = {}): Middleware {
  const { path, document } = resourceMetadata(verifier, options);
  const body = JSON.stringify(document);
  return (request, response, next) => {
    const asked = (request.originalUrl ?? request.url).split("?")[0];
    if (asked !== path || (request.method !== "GET" && request.method !== "HEAD")) {
      next();
      return;
    }
    response.setHeader("content-type", "application/json");
    response.setHeader("access-control-allow-origin", "*");
    response.end(request.method === "HEAD" ? undefined : body);
  };
}

async function admit(verifier: Verifier, request: ExpressRequest, options: ProtectOptions): Promise<Verified> {
  let presentation: Presentation;
  try {
    presentation = presentationOf(request, options);
  } catch (error) {
    if (error instanceof VerifyError) verifier.refused(error);
    throw error;
  }
  return verifier.verify(presentation);
}

function presentationOf(request: ExpressRequest, { certificateOf }: ProtectOptions): Presentation {
  const url = request.originalUrl ?? request.url;
  refuseQueryToken(url);
  const headers = request.rawHeaders.filter((text, at) => at % 2 === 0 && text.toLowerCase() === "authorization").length;
  // Node keeps the first of several and says nothing
  if (headers > 1) throw new VerifyError("two_transports");
  const { authorization } = request.headers;
  const inBody = hasBodyToken(request);
  if (inBody && authorization !== undefined) throw new VerifyError("two_transports");
  const { scheme, token } = readAuthorization(typeof authorization === "string" ? authorization : undefined);
  const header = (name: string): string | undefined => {
    const value = request.headers[name.toLowerCase()];
    return typeof value === "string" ? value : value?.join(", ");
  };
  const { method, ip: source } = request;
  const certificate = certificateOf === undefined ? peerCertificate(request.socket) : certificateOf(request);
  return { scheme, token, method, url, header, source, certificate, reportsItself: true };
}

/** DER of the certificate that the other end of our own TLS has proven to hold, whoever signed it: a token names it itself. */
function peerCertificate(socket: unknown): Uint8Array | undefined {
  const { getPeerX509Certificate: read } = (socket ?? {}) as {
    readonly getPeerX509Certificate?: () => { readonly raw: Uint8Array } | undefined;
  };
  return typeof read === "function" ? read.call(socket)?.raw : undefined;
}

/** The route's pattern once a handler has answered: a path holds names of things that reports have no business with. */
function routeOf({ method, baseUrl = "", route }: ExpressRequest): string | undefined {
  const path = typeof route === "object" && route !== null && "path" in route ? route.path : undefined;
  return typeof path === "string" ? `${method} ${baseUrl}${path}` : undefined;
}

/** RFC 6750 section 2.2 is not supported, but a form that holds a token beside the header is two of them. */
function hasBodyToken({ body, headers }: ExpressRequest): boolean {
  const isForm = /^application\/x-www-form-urlencoded\b/i.test(String(headers["content-type"] ?? ""));
  return isForm && typeof body === "object" && body !== null && "access_token" in body;
}

function refuse(error: unknown, settings: AnswerSettings, response: ExpressResponse, next: Next): void {
  if (!(error instanceof VerifyError)) {
    next(error);
    return;
  }
  const { status, headers, body } = answerTo(error, settings);
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.end(body === "" ? undefined : body);
}
