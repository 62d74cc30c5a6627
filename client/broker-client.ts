import { createHash } from "node:crypto";
import type {
  CheckBody,
  CheckView,
  CompleteBody,
  CredentialsBody,
  CredentialView,
  LeaseView,
  OpenedTaskView,
  OpenTaskBody,
  ReceiptView,
  ReleasedView,
  TaskView,
  TokenView,
  WhoamiView,
} from "../domain/wire.ts";
import { systemClock } from "../domain/time.ts";
import { call, type Answer, type Call, type Connection } from "./call.ts";
import { unverifiedClaims } from "./claims.ts";
import type { Identity } from "./identity/source.ts";

/** Who a call speaks for: a bearer token as it is, or an identity that is asked for evidence. */
export type Speaker = string | Identity;

/** A request for one credential by its grant's name. */
export type CredentialRequest = CredentialsBody;

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

/**
 * The broker's face for workloads, one method per route. Answers come as the wire has them; refusals are
 * thrown as the errors of `errors.ts`.
 */
export class BrokerClient {
  readonly connection: Connection;
  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** Evidence for a credential in one trip (RFC 8693); it joins or opens the task that the evidence belongs to. */
  async exchange(who: Speaker, request: CredentialRequest & { readonly audience?: string }, options?: CallOptions): Promise<TokenView> {
    const form = {
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      scope: [`grant:${request.grant}`, ...(request.scope ?? [])].join(" "),
      ttl: request.ttl === undefined ? undefined : String(request.ttl),
      purpose: request.purpose,
      environment: request.environment,
      resource: request.resource,
      audience: request.audience,
    };
    const subjectToken = this.#evidence(who);
    const answer = await call<TokenView>(this.connection, {
      ...options,
      method: "POST",
      path: "/oauth2/token",
      form,
      fill: async (last) => ({ subject_token: await subjectToken(last) }),
    });
    return answer.body;
  }

  /** Opens a task, or joins the one that the evidence belongs to; `joined` says which. */
  async openTask(who: Speaker, body: OpenTaskBody, options?: CallOptions): Promise<OpenedTaskView & { readonly joined: boolean }> {
    const { status, body: task } = await this.#send<OpenedTaskView>(who, { ...options, method: "POST", path: "/v1/tasks", json: body });
    return { ...task, joined: status === 200 };
  }

  async credential(task: string, taskToken: string, body: CredentialRequest, options?: CallOptions): Promise<CredentialView> {
    return (
      await this.#send<CredentialView>(taskToken, {
        ...options,
        method: "POST",
        path: `/v1/tasks/${segment(task)}/credentials`,
        json: body,
      })
    ).body;
  }

  async heartbeat(task: string, taskToken: string, options?: CallOptions): Promise<TaskView> {
    return (await this.#send<TaskView>(taskToken, { ...options, method: "POST", path: `/v1/tasks/${segment(task)}/heartbeat` })).body;
  }

  /** Ends the task and everything under it. Twice: the same receipt as it now stands. */
  async complete(task: string, taskToken: string, body: CompleteBody, options?: CallOptions): Promise<ReceiptView> {
    return (
      await this.#send<ReceiptView>(taskToken, { ...options, method: "POST", path: `/v1/tasks/${segment(task)}/complete`, json: body })
    ).body;
  }

  async task(task: string, who: Speaker, options?: CallOptions): Promise<TaskView> {
    return (await this.#send<TaskView>(who, { ...options, method: "GET", path: `/v1/tasks/${segment(task)}` })).body;
  }

  async lease(lease: string, who: Speaker, options?: CallOptions): Promise<LeaseView> {
    return (await this.#send<LeaseView>(who, { ...options, method: "GET", path: `/v1/leases/${segment(lease)}` })).body;
  }

  /** Gives a lease back; the token is its task's, or the credential itself. */
  async release(lease: string, token: string, options?: CallOptions): Promise<ReleasedView> {
    return (await this.#send<ReleasedView>(token, { ...options, method: "POST", path: `/v1/leases/${segment(lease)}/release` })).body;
  }

  /** A later end for a lease, with a new token. */
  async renew(lease: string, taskToken: string, body: { readonly ttl?: string | number }, options?: CallOptions): Promise<CredentialView> {
    return (
      await this.#send<CredentialView>(taskToken, { ...options, method: "POST", path: `/v1/leases/${segment(lease)}/renew`, json: body })
    ).body;
  }

  async whoami(who: Speaker, options?: CallOptions): Promise<WhoamiView> {
    return (await this.#send<WhoamiView>(who, { ...options, method: "GET", path: "/v1/whoami" })).body;
  }

  /** What a request would be answered, without making it. */
  async check(who: Speaker, body: CheckBody, options?: CallOptions): Promise<CheckView> {
    return (await this.#send<CheckView>(who, { ...options, method: "POST", path: "/v1/policy/check", json: body })).body;
  }

  async #send<T>(who: Speaker, request: Call): Promise<Answer<T>> {
    return await call<T>(this.connection, { ...request, bearer: this.#evidence(who) });
  }

  #evidence(who: Speaker): NonNullable<Call["bearer"]> {
    return typeof who === "string" ? async () => who : evidenceFor(who, this.connection);
  }
}

/** Path segments are ids from outside: they must not climb. */
export const segment = (id: string): string => encodeURIComponent(id);

/** SHA-256 in hex: names a credential without sending it. */
export const credentialSha256 = (credential: string): string => createHash("sha256").update(credential).digest("hex");

/** Evidence within this of its end (milliseconds) is fetched anew before it is sent. */
const FRESH_MS = 15_000;

/**
 * Evidence for the attempts of one logical request. A repeated attempt shows the same evidence, because the broker ties
 * `Idempotency-Key` to it: a new one after a lost reply would open a second lease. It is fetched anew when it is about to end
 * or was refused as expired.
 */
function evidenceFor(identity: Identity, connection: Connection): NonNullable<Call["bearer"]> {
  let held: string | undefined;
  return async (last) => {
    const now = (connection.clock ?? systemClock)();
    if (held === undefined || last?.code === "token_expired" || (expiryOf(held) ?? Infinity) - now < FRESH_MS)
      held = await identity.token();
    return held;
  };
}

/** When a JWT ends, in milliseconds, by its own unverified word. */
function expiryOf(token: string): number | undefined {
  const exp = unverifiedClaims(token)?.["exp"];
  return typeof exp === "number" ? exp * 1000 : undefined;
}
