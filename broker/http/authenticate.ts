import { hash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { StintError } from "../../domain/errors.ts";
import { Secret } from "../../domain/secret.ts";
import type { Clock } from "../../domain/time.ts";
import { MAX_TOKEN_CHARS } from "../../domain/wire.ts";
import type { Verifier } from "../policy/policy.ts";
import type { Caller, Operator, OperatorService, VerifierService } from "../services.ts";
import { IN_BODY } from "./error-response.ts";
import { Throttle } from "./throttle.ts";

/** Three parts, as evidence and everything that we sign have; anything else can only be an operator's or verifier's secret. */
const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** Finds out who calls. Guessing is slowed down by source: after ten failures in a minute it answers `too_many_requests`. */
export class Door {
  readonly #operators: OperatorService;
  readonly #verifiers: VerifierService;
  readonly #throttle: Throttle;

  constructor(operators: OperatorService, verifiers: VerifierService, clock: Clock) {
    this.#operators = operators;
    this.#verifiers = verifiers;
    this.#throttle = new Throttle(clock);
  }

  /** The token of `Authorization: Bearer`. Throws `unauthenticated` when there is none. */
  bearer(headers: IncomingHttpHeaders): Secret {
    const { scheme, token } = this.presented(headers);
    if (scheme !== "Bearer") throw new StintError("unauthenticated", "the Authorization header is not of the form: Bearer token");
    return token;
  }

  /** The token of Authorization and the scheme it stands under. Throws `unauthenticated` when there is none. */
  presented(headers: IncomingHttpHeaders): { readonly scheme: "Bearer" | "DPoP"; readonly token: Secret } {
    const header = headers.authorization;
    if (header === undefined) throw new StintError("unauthenticated", "this needs Authorization: Bearer and a token");
    const [, scheme, token] = /^(Bearer|DPoP) +([\x21-\x7e]+) *$/i.exec(header) ?? [];
    if (scheme === undefined || token === undefined)
      throw new StintError("unauthenticated", "the Authorization header is not of the form: Bearer token");
    if (token.length > MAX_TOKEN_CHARS) throw new StintError("invalid_request", `the token is longer than ${MAX_TOKEN_CHARS} characters`);
    return { scheme: scheme.toLowerCase() === "dpop" ? "DPoP" : "Bearer", token: new Secret(token) };
  }

  /** The operator whose token the request carries. Throws `unauthenticated`; the role is the caller's to check. */
  operator(headers: IncomingHttpHeaders, source: string): Operator {
    const token = this.bearer(headers);
    const operator = this.#guarded(token, source, () => this.#operators.authenticate(token));
    if (operator === undefined) throw new StintError("unauthenticated", "this needs the token of an operator");
    return operator;
  }

  /** An operator, or the bearer of a token that the service will judge. */
  caller(headers: IncomingHttpHeaders, source: string): Caller {
    const { scheme, token } = this.presented(headers);
    if (scheme === "DPoP") return { kind: "bearer", token };
    if (COMPACT_JWS.test(token.reveal())) {
      const operator = this.#operators.authenticate(token);
      return operator === undefined ? { kind: "bearer", token } : { kind: "operator", operator };
    }
    return { kind: "operator", operator: this.operator(headers, source) };
  }

  /** Whether the request's token still is this operator's: long connections ask again. */
  stillKnown(headers: IncomingHttpHeaders, operator: Operator): boolean {
    const now = this.#operators.authenticate(this.bearer(headers));
    return now?.name === operator.name && now.role === operator.role;
  }

  /** Whether the request's header still names this verifier, for the same audience: long connections ask again. */
  stillVerifier({ authorization }: IncomingHttpHeaders, verifier: Verifier): boolean {
    return credentialsOf(authorization ?? "").some(({ name, key }) => {
      const now = this.#verifiers.authenticate(name, new Secret(key));
      return now?.name === verifier.name && now.audience === verifier.audience;
    });
  }

  /** The verifier, by Basic `name:key`, Bearer `name:key`, or client_id and client_secret of the form. Throws `invalid_client`. */
  verifier(
    headers: IncomingHttpHeaders,
    form: { readonly client_id?: string | undefined; readonly client_secret?: string | undefined },
    source: string,
  ): Verifier {
    const header = headers.authorization;
    if (header !== undefined && form.client_secret !== undefined)
      throw new StintError("invalid_request", "authenticate in one way: by header or by form");
    if (header === undefined && form.client_secret === undefined)
      throw new StintError("invalid_client", "this needs the name and key of a verifier");
    const presented = header === undefined ? [{ name: form.client_id, key: form.client_secret ?? "" }] : credentialsOf(header);
    const verifier = this.#guarded(new Secret(header ?? form.client_secret ?? ""), source, () => {
      for (const { name, key } of presented) {
        const found = this.#verifiers.authenticate(name, new Secret(key));
        if (found !== undefined) return found;
      }
      return undefined;
    });
    if (verifier === undefined)
      throw new StintError("invalid_client", "the name or key of the verifier is wrong", header === undefined ? { hint: IN_BODY } : {});
    return verifier;
  }

  /** The verifier that a proxy speaks for, by `name:key` in a header of the proxy's own. Throws `invalid_client`. */
  proxy(presented: string, source: string): Verifier {
    const { name, key } = split(presented);
    const verifier = this.#guarded(new Secret(presented), source, () => this.#verifiers.authenticate(name, new Secret(key)));
    if (verifier === undefined) throw new StintError("invalid_client", "the name or key of the verifier is wrong");
    return verifier;
  }

  #guarded<T>(secret: Secret, source: string, check: () => T | undefined): T | undefined {
    const secretHash = hash("sha256", secret.reveal(), "base64url");
    const waitMs = this.#throttle.waitMs(source, secretHash);
    if (waitMs > 0)
      throw new StintError("too_many_requests", "too many failed attempts from this address", {
        retryAfterSeconds: Math.ceil(waitMs / 1000),
      });
    const found = check();
    if (found === undefined) this.#throttle.failed(source);
    else this.#throttle.succeeded(secretHash);
    return found;
  }
}

interface Presented {
  readonly name: string | undefined;
  readonly key: string;
}

function credentialsOf(header: string): readonly Presented[] {
  const [, scheme = "", value = ""] = /^(Basic|Bearer) +(\S{1,2048}) *$/i.exec(header) ?? [];
  if (scheme === "") return [];
  if (scheme.toLowerCase() === "bearer") return [split(value)];
  const plain = split(Buffer.from(value, "base64").toString("utf8"));
  // RFC 6749 section 2.3.1 encodes both as form values; curl and most people do not
  const decoded = { name: formDecoded(plain.name), key: formDecoded(plain.key) ?? plain.key };
  return decoded.name === plain.name && decoded.key === plain.key ? [plain] : [decoded, plain];
}

function split(text: string): Presented {
  const colon = text.indexOf(":");
  return colon === -1 ? { name: undefined, key: text } : { name: text.slice(0, colon), key: text.slice(colon + 1) };
}

function formDecoded(text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}
