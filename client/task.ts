import { inspect } from "node:util";
import type { OpenedTaskView, ReceiptView } from "../domain/wire.ts";
import type { BrokerClient, CallOptions, CredentialRequest } from "./broker-client.ts";
import { BrokerError, GoneError } from "./errors.ts";
import { Credential } from "./lease.ts";

export type TaskOutcome = "success" | "failure" | "cancelled";

/** What may be asked of a credential beside its grant; spans as `"10m"` or in seconds. */
export type CredentialOptions = Omit<CredentialRequest, "grant"> & CallOptions;

/**
 * A task that is open: credentials are asked for under it, and all of them die when it ends. Disposing of it (`await using`)
 * completes it. Where heartbeats were asked for they are sent in the background, three for every window.
 */
export class Task {
  readonly id: string;
  readonly expiresAt: Date;
  readonly #client: BrokerClient;
  readonly #token: string;
  #beating: NodeJS.Timeout | undefined;
  #receipt: ReceiptView | undefined;
  readonly #credentials: Credential[] = [];

  constructor(
    client: BrokerClient,
    opened: OpenedTaskView,
    heartbeat?: { readonly everyMs: number; readonly onLost?: (error: BrokerError) => void },
  ) {
    this.#client = client;
    this.#token = opened.task_token;
    this.id = opened.task;
    this.expiresAt = new Date(opened.expires_at);
    if (heartbeat !== undefined) this.#beat(heartbeat.everyMs, heartbeat.onLost);
  }

  /** Proves membership of this task; hand it only to what may act for it. */
  get token(): string {
    return this.#token;
  }

  /** A credential by its grant's name. */
  async credential(grant: string, options: CredentialOptions = {}): Promise<Credential> {
    const { signal, timeoutMs, ...asked } = options;
    const call = { ...(signal === undefined ? {} : { signal }), ...(timeoutMs === undefined ? {} : { timeoutMs }) };
    const credential = new Credential(
      this.#client,
      this.#token,
      await this.#client.credential(this.id, this.#token, { ...asked, grant }, call),
    );
    this.#credentials.push(credential);
    return credential;
  }

  /** Ends the task: every credential under it dies. Says what became of each. Twice: the same receipt as it now stands. */
  async complete(
    outcome: TaskOutcome = "success",
    options: CallOptions & { readonly by?: "complete" | "exit" } = {},
  ): Promise<ReceiptView> {
    this.stopHeartbeats();
    const { by = "complete", ...call } = options;
    this.#receipt = await this.#client.complete(this.id, this.#token, { outcome, by }, call);
    return this.#receipt;
  }

  /** The last receipt, once there is one. */
  get receipt(): ReceiptView | undefined {
    return this.#receipt;
  }

  /** Those it was given here. */
  get credentials(): readonly Credential[] {
    return this.#credentials;
  }

  /** When the last of them dies without anybody's help; undefined while there is none. */
  get lastDeadBy(): Date | undefined {
    const last = Math.max(...this.#credentials.map((one) => one.deadBy.getTime()));
    return Number.isFinite(last) ? new Date(last) : undefined;
  }

  stopHeartbeats(): void {
    clearInterval(this.#beating);
    this.#beating = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#receipt === undefined) await this.complete();
  }

  #beat(everyMs: number, onLost: ((error: BrokerError) => void) | undefined): void {
    let sending = false;
    this.#beating = setInterval(() => {
      if (sending) return;
      sending = true;
      void this.#client
        .heartbeat(this.id, this.#token, { timeoutMs: Math.max(1000, everyMs) })
        .catch((error: unknown) => {
          if (error instanceof GoneError) this.stopHeartbeats();
          onLost?.(
            error instanceof BrokerError ? error : new BrokerError("the heartbeat failed", { code: "heartbeat_failed", cause: error }),
          );
        })
        .finally(() => {
          sending = false;
        });
    }, everyMs);
    this.#beating.unref();
  }

  toString(): string {
    return `[${this.id}]`;
  }
  toJSON(): { readonly id: string; readonly expires_at: string } {
    return { id: this.id, expires_at: this.expiresAt.toISOString() };
  }
  [inspect.custom](): string {
    return this.toString();
  }
}
