import { inspect } from "node:util";
import type { CredentialMaterial, CredentialView, ReleasedView } from "../domain/wire.ts";
import type { BrokerClient, CallOptions } from "./broker-client.ts";
import { renderCredential, type CredentialFormat } from "./deliver/formats.ts";
import type { Place } from "./deliver/login.ts";
import { keptItsValue, valueOf } from "./deliver/material.ts";
import { boundTo } from "./proof.ts";

/**
 * A credential and the lease it stands for. However it is printed, only `[redacted lease_...]` is seen; `.value` reveals it.
 * Disposing of it (`await using`) gives the lease back.
 */
export class Credential {
  readonly leaseId: string;
  readonly taskId: string;
  readonly grant: string;
  readonly issuer: string;
  readonly type: string;
  readonly expiresAt: Date;
  readonly limitedBy: CredentialView["limited_by"];
  readonly revocation: CredentialView["revocation"];
  /** The latest instant at which anybody may still honour it. */
  readonly deadBy: Date;
  readonly #answer: CredentialView;
  readonly #client: BrokerClient;
  readonly #taskToken: string;

  constructor(client: BrokerClient, taskToken: string, view: CredentialView) {
    this.#client = client;
    this.#taskToken = taskToken;
    this.#answer = view;
    this.leaseId = view.lease_id;
    this.taskId = view.task_id;
    this.grant = view.grant;
    this.issuer = view.issuer;
    this.type = view.credential.type;
    this.expiresAt = new Date(view.expires_at);
    this.limitedBy = view.limited_by;
    this.revocation = view.revocation;
    this.deadBy = new Date(view.dead_by);
  }

  /** The secret itself: a token where there is one, all members as JSON otherwise. */
  get value(): string {
    return valueOf(this.#answer.credential);
  }

  /** All members, secrets among them, by `type`: `host`, `username` and `password` of a database, for example. */
  get material(): CredentialMaterial {
    return this.#answer.credential;
  }

  /** As a tool takes it: `"env"`, `"pgpass"`, `"netrc"`, ... Throws `UnsuitableError` where its kind cannot be written so. */
  as(format: CredentialFormat, place: Place = {}): string {
    return renderCredential(format, this.#answer, place);
  }

  /** Headers for a request to the resource. Throws TypeError for a bound credential, which needs a proof for each: see `headers`. */
  header(): { readonly authorization: string } {
    if (this.isBound)
      throw new TypeError("this credential is bound to a key: use headers(method, url), which makes a proof for one request");
    return { authorization: `Bearer ${this.value}` };
  }

  /** True when it opens nothing without a proof of this client's key (`createClient({ dpop: true })`). */
  get isBound(): boolean {
    return boundTo(this.value) !== undefined;
  }

  /** Headers for one request to the resource: with a proof of the key where the credential is bound to one. */
  async headers(method: string, url: string): Promise<{ readonly authorization: string; readonly dpop?: string }> {
    const { prover } = this.#client.connection;
    return prover === undefined || !this.isBound ? this.header() : await prover.authorize(method.toUpperCase(), url, this.value);
  }

  /** `fetch` with those headers. A resource that asks for its nonce is asked once more with it. */
  async fetch(url: string, init: RequestInit = {}): Promise<Response> {
    const { prover, fetch: ours } = this.#client.connection;
    const ask = async (): Promise<Response> => {
      const headers = new Headers(init.headers);
      for (const [name, value] of Object.entries(await this.headers(init.method ?? "GET", url))) headers.set(name, value);
      const response = await (ours ?? fetch)(url, { ...init, headers });
      prover?.note(url, response.headers);
      return response;
    };
    const first = await ask();
    if (first.status !== 401 || !(first.headers.get("www-authenticate") ?? "").includes("use_dpop_nonce")) return first;
    await first.body?.cancel();
    return ask();
  }

  /** The same lease with a later end: a new credential, or the same where it was lengthened at the target. This one stays good until its own end. */
  async renew(options: { readonly ttl?: string | number } = {}): Promise<Credential> {
    const answer = await this.#client.renew(this.leaseId, this.#taskToken, options);
    const credential = keptItsValue(answer.credential) ? this.#answer.credential : answer.credential;
    return new Credential(this.#client, this.#taskToken, { ...answer, credential });
  }

  /** Gives the lease back: the credential is of no more use. Twice is success. */
  async release(options: CallOptions = {}): Promise<ReleasedView> {
    return await this.#client.release(this.leaseId, this.#taskToken, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  toString(): string {
    return `[redacted ${this.leaseId}]`;
  }
  toJSON(): string {
    return this.toString();
  }
  [inspect.custom](): string {
    return this.toString();
  }
}
