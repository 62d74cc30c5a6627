import type { IncomingMessage, ServerResponse } from "node:http";
import { performance } from "node:perf_hooks";
import { z } from "zod";
import { StintError } from "../../domain/errors.ts";
import type { Possession } from "../dpop/possession.ts";
import type { Origin, Role } from "../services.ts";
import { readForm, readJson } from "./body.ts";
import type { ClientAddress } from "./client-address.ts";
import type { ClientCertificate } from "./client-certificate.ts";
import { oauthError, problem, toStintError } from "./error-response.ts";
import { parseQuery } from "./form.ts";
import { refuseAmbiguous } from "./guard.ts";
import { idempotencyOf } from "./idempotency.ts";
import { placeOf, roomIn, whoAsks, type Place } from "./lanes.ts";
import { isPaced } from "./pacer.ts";
import { possessionOf, withNonce } from "./proofs.ts";
import type { Answer, Call, House, Route, Streaming } from "./route.ts";
import type { Send } from "./send.ts";
import type { Served } from "./served.ts";
import { newTraceId, parseTraceparent } from "./trace.ts";

const NO_QUERY = z.strictObject({});

export interface ServeOptions {
  readonly house: House;
  readonly addressOf: ClientAddress;
  readonly certificateOf: ClientCertificate;
  readonly fromProxy: (request: IncomingMessage) => boolean;
  readonly send: Send;
  /** Called once for every request, after its answer. */
  readonly served: (what: Served) => void;
}

/** An express handler that needs no `next`. */
export type Serve = (
  request: IncomingMessage & { readonly params?: unknown; readonly originalUrl?: string },
  response: ServerResponse,
) => void;

/** Turns one route into a handler: check, authenticate, parse, handle, render, and one record of it. Never throws, never answers twice. */
export function serve(options: ServeOptions, route: Pick<Route, "path" | "access" | "handle"> & Partial<Route>): Serve {
  const at = placeOf(route);
  return (request, response) => {
    void new Exchange(options, route, at, request, response).run();
  };
}

/** What a form may authenticate by (RFC 6749 section 2.3.1). */
type FormClient = Parameters<House["door"]["verifier"]>[1];

/** One request and its answer. */
class Exchange {
  readonly #options: ServeOptions;
  readonly #route: Parameters<typeof serve>[1];
  readonly #at: Place;
  readonly #request: Parameters<Serve>[0];
  readonly #response: ServerResponse;
  readonly #startedAt = performance.now();
  readonly #ip: string;
  #traceId = newTraceId();
  #caller: string | undefined;

  constructor(
    options: ServeOptions,
    route: Parameters<typeof serve>[1],
    at: Place,
    request: Parameters<Serve>[0],
    response: ServerResponse,
  ) {
    this.#options = options;
    this.#route = route;
    this.#at = at;
    this.#request = request;
    this.#response = response;
    this.#ip = options.addressOf(request);
  }

  async run(): Promise<void> {
    let answer: Answer | Streaming;
    let error: StintError | undefined;
    try {
      refuseAmbiguous(this.#request);
      answer = await this.#handled();
    } catch (thrown) {
      error = toStintError(thrown);
      if (isPaced(error)) await this.#options.house.pacer.hold();
      answer = this.#route.refuse?.(error) ?? this.#refusal(error);
    }
    this.#deliver(answer, error);
  }

  /** By the route's lane, where it has one: refused before its body is read when there is no room for anybody. */
  async #handled(): Promise<Answer | Streaming> {
    const { house } = this.#options;
    const lane = roomIn(house.lanes, this.#at.lane);
    const call = await this.#call();
    const work = () => this.#route.handle(call, house);
    return lane === undefined ? work() : lane.run(() => whoAsks(call.body, call.headers, this.#ip), work);
  }

  /** Who calls comes first: a stranger's body is not even read where a known caller is needed, unless it says itself who calls. */
  async #call(): Promise<Call> {
    const caller = this.#authenticate();
    const proven = possessionOf(this.#request, this.#route, this.#options);
    const possession = proven instanceof Promise ? await proven : proven;
    const { body, raw } = await this.#body();
    const verifier = this.#verifierOfForm(body);
    const query = this.#querySchema()?.parse(parseQuery(this.#request.url ?? ""));
    const idempotency = raw === undefined ? undefined : idempotencyOf(this.#request.headers, raw);
    const params = (this.#request.params ?? {}) as Readonly<Record<string, string>>;
    const { headers } = this.#request;
    return { ...caller, ...verifier, params, body, query, headers, origin: this.#origin(possession), line: this.#line(), idempotency };
  }

  #authenticate(): object {
    const { door } = this.#options.house;
    const { headers } = this.#request;
    switch (this.#route.access) {
      case "open":
        return {};
      case "verifier": // its key may stand in the form, which then has to be read first
        return this.#route.encoding === "form" ? {} : { verifier: door.verifier(headers, {}, this.#ip) };
      case "bearer":
        return { token: door.presented(headers).token };
      case "holder": {
        const caller = door.caller(headers, this.#ip);
        if (caller.kind === "operator") this.#know(caller.operator.name);
        return { caller };
      }
      default:
        return { operator: this.#operator(this.#route.access) };
    }
  }

  #verifierOfForm(body: unknown): object {
    if (this.#route.access !== "verifier" || this.#route.encoding !== "form") return {};
    return { verifier: this.#options.house.door.verifier(this.#request.headers, body as FormClient, this.#ip) };
  }

  #operator(role: Role): object {
    const { door, services } = this.#options.house;
    const operator = door.operator(this.#request.headers, this.#ip);
    this.#know(operator.name);
    services.operators.require(operator, role, this.#origin());
    return operator;
  }

  /** A known operator's own trace goes on; everybody else's is only linked to. */
  #know(operator: string): void {
    this.#caller = `operator:${operator}`;
    this.#traceId = parseTraceparent(this.#request.headers.traceparent) ?? this.#traceId;
  }

  async #body(): Promise<{ readonly body: unknown; readonly raw: Buffer | undefined }> {
    const schema = this.#route.body;
    if (schema === undefined) return { body: undefined, raw: undefined };
    if (this.#isOAuth() && this.#request.url?.includes("?") === true)
      throw new StintError("invalid_request", "parameters belong in the body, never in the URL");
    const { value, raw } = this.#route.encoding === "form" ? await readForm(this.#request) : await readJson(this.#request);
    return { body: schema.parse(value), raw };
  }

  /** Under /v1 a query that a route does not know is a mistake, and a token in a URL is an incident. */
  #querySchema(): Route["query"] {
    return this.#route.query ?? (this.#route.path.startsWith("/v1/") ? NO_QUERY : undefined);
  }

  #origin(possession?: Possession): Origin {
    const origin = { ip: this.#ip, traceId: this.#traceId, route: this.#at.label };
    return possession === undefined ? origin : { ...origin, possession };
  }

  #line(): Call["line"] {
    const { method = "", originalUrl, url = "" } = this.#request;
    return { method, target: originalUrl ?? url, fromProxy: this.#options.fromProxy(this.#request) };
  }

  #isOAuth(): boolean {
    return this.#request.url?.startsWith("/oauth2/") === true;
  }

  #refusal(error: StintError): Answer {
    const place = {
      url: this.#options.house.services.url,
      traceId: this.#traceId,
      path: (this.#request.url ?? "").split("?", 1)[0]?.slice(0, 256) ?? "",
    };
    return this.#isOAuth() ? oauthError(error, place) : problem(error, place);
  }

  #deliver(answer: Answer | Streaming, error: StintError | undefined): void {
    const about = "stream" in answer ? undefined : answer.about;
    let status = 500;
    let cause = error?.code === "server_error" ? error.cause : undefined;
    try {
      status = this.#options.send(this.#request, this.#response, withNonce(answer, this.#request, this.#route, this.#options.house), {
        traceId: this.#traceId,
        shared: this.#route.shared === true,
      });
    } catch (thrown) {
      // an answer that cannot be written: nobody may be left waiting for it
      this.#response.destroy();
      cause = thrown;
    }
    this.#options.served({
      method: this.#request.method ?? "",
      route: this.#route.path,
      status,
      ms: performance.now() - this.#startedAt,
      ip: this.#ip,
      traceId: this.#traceId,
      linkedTrace: this.#caller === undefined ? parseTraceparent(this.#request.headers.traceparent) : undefined,
      code: error?.code ?? about?.code,
      denialId: error?.facts.denialId ?? about?.denialId,
      decisionId: about?.decisionId,
      caller: this.#caller ?? about?.caller,
      cause,
    });
  }
}
