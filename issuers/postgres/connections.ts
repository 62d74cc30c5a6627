import type { Client } from "pg";
import { RetryableFailure } from "../../domain/credential.ts";
import { asFailure, keepsConnection } from "./failures.ts";
import type { Lane, Slots } from "./slots.ts";

/** Opens a connection to this database as the broker's role; ready for statements. */
export type Connect = (database: string, signal: AbortSignal) => Promise<Client>;

interface Idle {
  readonly client: Client;
  readonly database: string;
  readonly timer: NodeJS.Timeout;
}

/**
 * Connections to one server, whatever the database: never more than there are slots, idle ones included, and none kept longer than
 * it is of use. Statements on one are each a transaction of their own: whoever fails leaves nothing half done on it.
 */
export class Connections {
  readonly #connect: Connect;
  readonly #slots: Slots;
  readonly #size: number;
  readonly #idleAfterMs: number;
  #idle: Idle[] = [];
  #closed = false;

  constructor(options: { readonly connect: Connect; readonly slots: Slots; readonly size: number; readonly idleAfterMs: number }) {
    this.#connect = options.connect;
    this.#slots = options.slots;
    this.#size = options.size;
    this.#idleAfterMs = options.idleAfterMs;
  }

  /** Works on a connection. Throws `RetryableFailure` or `PermanentFailure` that begins with `doing`; cuts the connection when the signal says so. */
  async use<T>(lane: Lane, database: string, doing: string, signal: AbortSignal, work: (client: Client) => Promise<T>): Promise<T> {
    const release = await this.#slots.take(lane, signal).catch(() => {
      throw new RetryableFailure(`${doing}: no connection was free in time; it is tried again`);
    });
    let client: Client | undefined;
    const cut = (): void => void (client === undefined ? undefined : destroy(client));
    signal.addEventListener("abort", cut);
    try {
      client = await this.#open(database, signal);
      if (signal.aborted) throw new Error("it took too long");
      const result = await work(client);
      this.#keep(client, database);
      return result;
    } catch (error) {
      if (client !== undefined && keepsConnection(error)) this.#keep(client, database);
      else cut();
      throw signal.aborted
        ? new RetryableFailure(`${doing}: the server did not answer in time; it is tried again`)
        : asFailure(error, doing);
    } finally {
      signal.removeEventListener("abort", cut);
      release();
    }
  }

  close(): void {
    this.#closed = true;
    for (const idle of this.#idle) this.#drop(idle);
  }

  async #open(database: string, signal: AbortSignal): Promise<Client> {
    const known = this.#idle.findLast((each) => each.database === database);
    if (known !== undefined) {
      this.#forget(known.client);
      return known.client;
    }
    // ours is among those held; one more would be one too many for the server's owner
    const [oldest] = this.#idle;
    if (oldest !== undefined && this.#idle.length + this.#slots.held > this.#size) this.#drop(oldest);
    const client = await this.#connect(database, signal);
    // the server went away, or ended our session: nobody must find it here
    client.once("end", () => this.#forget(client));
    return client;
  }

  #keep(client: Client, database: string): void {
    if (client.connection.stream.destroyed) return;
    if (this.#closed) return destroy(client);
    const timer = setTimeout(() => this.#drop(idle), this.#idleAfterMs).unref();
    const idle: Idle = { client, database, timer };
    this.#idle.push(idle);
  }

  #drop(idle: Idle): void {
    this.#forget(idle.client);
    // a polite goodbye, which a server that hangs never answers
    void idle.client.end().catch(() => undefined);
    setTimeout(() => destroy(idle.client), 1_000).unref();
  }

  #forget(client: Client): void {
    for (const { client: each, timer } of this.#idle) if (each === client) clearTimeout(timer);
    this.#idle = this.#idle.filter((each) => each.client !== client);
  }
}

/** Without a word to the server. */
export function destroy(client: Client): void {
  client.connection.stream.destroy();
}
