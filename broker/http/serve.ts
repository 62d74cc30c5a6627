import type { ServerResponse } from "node:http";
import { performance } from "node:perf_hooks";
import { z } from "zod";
import { StintError } from "../../domain/errors.ts";
import type { Possession } from "../dpop/possession.ts";
import type { Origin, Role } from "../services.ts";
import { formBody, jsonBody, readBody, type BodyKind } from "./body.ts";
import { oauthError, problem, toStintError } from "./error-response.ts";
import { parseQuery } from "./form.ts";
import { refuseAmbiguous } from "./guard.ts";
import { idempotencyOf } from "./idempotency.ts";
import { placeOf, roomIn, whoAsks, type Place } from "./lanes.ts";
import { isPaced } from "./pacer.ts";
import { possessionOf, withNonce } from "./proofs.ts";
import type { Answer, Call, House, Route, Streaming } from "./route.ts";
import type { Serve, ServeOptions } from "./serving.ts";
import { newTraceId, parseTraceparent } from "./trace.ts";

const NO_QUERY = z.strictObject({});
/** Nothing is known of the caller, so far. */
const NOBODY = {};

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
      const { house } = this.#options;
      // by the route's lane, where it has one: refused before its body is read when there is no room for anybody
      const lane = roomIn(house.lanes, this.#at.lane);
      const call = await this.#call();
      const work = () => this.#route.handle(call, house);
      answer = await (lane === undefined ? work() : lane.run(() => whoAsks(call.body, call.headers, this.#ip), work));
    } catch (thrown) {
      error = toStintError(thrown);
      if (isPaced(error)) await this.#options.house.pacer.hold();
      answer = this.#route.refuse?.(error) ?? this.#refusal(error);
    }
    this.#deliver(answer, error);
  }

  /** Who calls comes first: a stranger's body is not even read where a known caller is needed, unless it says itself who calls. */
  async #call(): Promise<Call> {
    const caller = this.#authenticate();
    const proven = possessionOf(this.#request, this.#route, this.#options);
    const possession = proven instanceof Promise ? await proven : proven;
    const schema = this.#route.body;
    const raw = schema === undefined ? undefined : await this.#raw();
    const body = schema === undefined || raw === undefined ? undefined : schema.parse(this.#kind().parse(this.#request, raw));
    const verifier = this.#verifierOfForm(body);
    const { headers } = this.#request;
    const call: Call = {
      params: (this.#request.params ?? {}) as Readonly<Record<string, string>>,
      body,
      query: this.#querySchema()?.parse(parseQuery(this.#request.url ?? "")),
      headers,
      origin: this.#origin(possession),
      line: this.#line(),
      idempotency: raw === undefined ? undefined : idempotencyOf(headers, raw),
    };
    return caller === verifier ? call : Object.assign(call, caller, verifier);
  }

  #authenticate(): object {
    const { door } = this.#options.house;
    const { headers } = this.#request;
    switch (this.#route.access) {
      case "open":
        return NOBODY;
      case "verifier": // its key may stand in the form, which then has to be read first
        return this.#route.encoding === "form" ? NOBODY : { verifier: door.verifier(headers, {}, this.#ip) };
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
    if (this.#route.access !== "verifier" || this.#route.encoding !== "form") return NOBODY;
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

  #raw(): Promise<Buffer> {
    if (this.#isOAuth() && this.#request.url?.includes("?") === true)
      throw new StintError("invalid_request", "parameters belong in the body, never in the URL");
    this.#kind().expect(this.#request);
    return readBody(this.#request);
  }

  #kind(): BodyKind {
    return this.#route.encoding === "form" ? formBody : jsonBody;
  }

  /** Under /v1 a query that a route does not know is a mistake, and a token in a URL is an incident. */
  #querySchema(): Route["query"] {
    return this.#route.query ?? (this.#route.path.startsWith("/v1/") ? NO_QUERY : undefined);
  }

  #origin(possession?: Possession): Origin {
    const [ip, traceId, route] = [this.#ip, this.#traceId, this.#at.label];
    return possession === undefined ? { ip, traceId, route } : { ip, traceId, route, possession };
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
