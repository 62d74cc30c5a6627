import { inspect } from "node:util";
import type { CredentialView, ReleasedView } from "../domain/wire.ts";
import type { BrokerClient, CallOptions } from "./broker-client.ts";

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
  readonly #value: string;
  readonly #client: BrokerClient;
  readonly #taskToken: string;

  constructor(client: BrokerClient, taskToken: string, view: CredentialView) {
    this.#client = client;
    this.#taskToken = taskToken;
    this.#value = view.credential.token ?? JSON.stringify(view.credential);
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

  /** The secret itself. */
  get value(): string {
    return this.#value;
  }

  /** Headers for a request to the resource. */
  header(): { readonly authorization: string } {
    return { authorization: `Bearer ${this.#value}` };
  }

  /** A new credential of the same lease with a later end. This one stays good until its own. */
  async renew(options: { readonly ttl?: string | number } = {}): Promise<Credential> {
    return new Credential(this.#client, this.#taskToken, await this.#client.renew(this.leaseId, this.#taskToken, options));
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
