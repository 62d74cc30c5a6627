import type { Client } from "pg";
import type { TargetPorts } from "../../domain/target.ts";
import { Account } from "./account.ts";
import { Connections } from "./connections.ts";
import { isFenceMissing, prepareFence } from "./fence.ts";
import { connector } from "./login.ts";
import { msOf, type PostgresSettings } from "./settings.ts";
import { Slots, type Lane } from "./slots.ts";

/** One server as an issuer sees it: settings, connections, and a fence that is known to stand. */
export class Site {
  readonly settings: PostgresSettings;
  readonly broker: string;
  readonly account: Account;
  readonly ports: TargetPorts;
  readonly #connections: Connections;
  #fenced = false;

  constructor(settings: PostgresSettings, ports: TargetPorts) {
    this.settings = settings;
    this.broker = ports.broker;
    this.ports = ports;
    this.account = new Account(settings, ports);
    this.#connections = new Connections({
      connect: connector(settings, this.account, ports),
      slots: new Slots(settings.connections),
      size: settings.connections,
      idleAfterMs: msOf(settings.idle_after),
    });
  }

  /**
   * Works on a connection to this database. In our own database the fence stands before the first statement, and is built again,
   * once, when somebody removed it: the work must then be such that it may begin again.
   */
  async use<T>(lane: Lane, database: string, doing: string, signal: AbortSignal, work: (client: Client) => Promise<T>): Promise<T> {
    const home = database === this.settings.database;
    return this.#connections.use(lane, database, doing, signal, async (client) => {
      if (home) await this.#fence(client);
      try {
        return await work(client);
      } catch (error) {
        if (!home || !isFenceMissing(error)) throw error;
        this.#fenced = false;
        await this.#fence(client);
        return work(client);
      }
    });
  }

  /** Without the fence: to look at a server that may not have one yet. */
  look<T>(doing: string, signal: AbortSignal, work: (client: Client) => Promise<T>): Promise<T> {
    return this.#connections.use("issue", this.settings.database, doing, signal, work);
  }

  close(): void {
    this.#connections.close();
  }

  async #fence(client: Client): Promise<void> {
    if (this.#fenced) return;
    await prepareFence(client, this.settings);
    this.#fenced = true;
  }
}
