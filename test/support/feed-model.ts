import { instantOf, type LeaseId } from "../../domain/ids.ts";
import { readFeed, type FeedEvent, type FeedReader } from "./feed-reader.ts";

/** A token as a verifier that checks by itself sees it. */
export interface SeenToken {
  readonly lease: LeaseId;
  readonly subject: string;
  readonly grant: string;
  readonly kid: string;
}

/**
 * A verifier's memory as the contract says it, and nothing of our code: what it has heard of ended leases and marks, from streams and
 * snapshots of any broker, in any order. It only ever adds.
 */
export class FeedModel {
  readonly #key: string;
  readonly #leases = new Set<string>();
  readonly #marks = new Map<string, number>();
  #reader: FeedReader | undefined;
  #position: string | undefined;
  #asOf = 0;
  /** Which life this is: what was begun in an earlier one is nothing to this. */
  #life = 0;

  constructor(key: string) {
    this.#key = key;
  }

  get position(): string | undefined {
    return this.#position;
  }

  /** Everything up to this instant is known, by a live stream. */
  get asOf(): number {
    return this.#asOf;
  }

  get connected(): boolean {
    return this.#reader?.ended === false;
  }

  /** Goes on from where it is; without a position, or after a reset, a snapshot comes first. */
  async connect(url: string): Promise<void> {
    this.disconnect();
    const life = this.#life;
    if (this.#position === undefined) {
      const position = await this.#snapshot(url);
      if (life !== this.#life) return;
      this.#position ??= position;
    }
    const reader = await readFeed(url, { key: this.#key, instance: "model", position: this.#position });
    if (life !== this.#life) return reader.close();
    this.#reader?.close(); // two connections begun at once: the later one stays
    this.#reader = reader;
    let reset = false;
    const take = (event: FeedEvent): void => {
      if (this.#reader !== reader || reset) return;
      reset = event.event === "reset";
      if (!reset) return this.#take(event);
      this.#position = undefined;
      void this.connect(url).catch(() => undefined);
    };
    for (const event of reader.events) take(event);
    reader.onEvent(take);
  }

  disconnect(): void {
    this.#reader?.close();
    this.#reader = undefined;
    this.#asOf = 0;
  }

  /** As a process that starts again: what it knew is gone. */
  forget(): void {
    this.disconnect();
    this.#life += 1;
    this.#position = undefined;
    this.#leases.clear();
    this.#marks.clear();
  }

  /** Cuts what is being read in the middle: a snapshot that breaks off. What it said may be kept, its position may not. */
  async half(url: string): Promise<void> {
    const response = await fetch(`${url}/v1/feed/snapshot`, { headers: { authorization: `Bearer ${this.#key}` } });
    const lines = (await response.text()).trimEnd().split("\n");
    for (const line of lines.slice(1, Math.ceil(lines.length / 2))) this.#line(JSON.parse(line) as Record<string, unknown>);
  }

  revokes({ lease, subject, grant, kid }: SeenToken): boolean {
    if (this.#leases.has(lease)) return true;
    const names = ["all ", `workload ${subject}`, `trust ${subject.slice(0, subject.indexOf(":"))}`, `grant ${grant}`, `key ${kid}`];
    return names.some((name) => instantOf(lease) <= (this.#marks.get(name) ?? -1));
  }

  async #snapshot(url: string): Promise<string> {
    const response = await fetch(`${url}/v1/feed/snapshot`, { headers: { authorization: `Bearer ${this.#key}` } });
    const lines = (await response.text())
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    for (const line of lines) this.#line(line);
    if (lines.at(-1)?.["end"] !== true) throw new Error("the snapshot is not whole");
    return String(lines[0]?.["position"]);
  }

  #line(line: Readonly<Record<string, unknown>>): void {
    if (line["end"] === true) return;
    if (Array.isArray(line["leases"])) this.#add(line["leases"] as [string, number][]);
    if (line["mark"] !== undefined) this.#mark(line["mark"] as Record<string, unknown>);
  }

  #take({ event, id, data }: FeedEvent): void {
    if (event === "revoked") this.#add(data["leases"] as [string, number][]);
    if (event === "mark") this.#mark(data);
    this.#position = id ?? this.#position;
    this.#asOf = Math.max(this.#asOf, Number(data["as_of"]));
  }

  #add(leases: readonly (readonly [string, number])[]): void {
    for (const [lease] of leases) this.#leases.add(lease);
  }

  #mark({ scope, name, at }: Readonly<Record<string, unknown>>): void {
    const key = `${String(scope)} ${String(name)}`;
    this.#marks.set(key, Math.max(Number(at), this.#marks.get(key) ?? 0));
  }
}
