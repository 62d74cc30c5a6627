import type { FeedEntry } from "../../store/api.ts";
import { tell, type Concern } from "./audience.ts";
import { resetFrame, revokedFrames, syncFrame, type StepEnd } from "./frames.ts";
import { encodePosition, type Position, type PositionOwner } from "./position.ts";
import type { Reader } from "./reader.ts";

/** One verifier's connection. */
export interface Member {
  readonly reader: Reader;
  /** At which step of a second it gets its heartbeat. */
  readonly step: number;
  /** False when its key is not good any more. */
  readonly welcome: () => boolean;
  /** Set while it catches up from there: it then gets nothing else. */
  behind: Position | undefined;
}

/** Connections of one audience. Whatever they are told is put into words once. */
export class Group {
  readonly members = new Set<Member>();
  readonly owner: PositionOwner;
  readonly #fellBehind: (member: Member) => void;
  #concern: Concern;
  #sync: { readonly id: string; readonly asOf: number; readonly now: number; readonly text: Buffer } | undefined;

  constructor(owner: PositionOwner, concern: Concern, fellBehind: (member: Member) => void) {
    this.owner = owner;
    this.#concern = concern;
    this.#fellBehind = fellBehind;
  }

  /** What it is told by from now on. True when that is more than before: readers may then have missed something. */
  change(concern: Concern): boolean {
    const before = this.#concern;
    this.#concern = concern;
    return [...concern.grants].some((grant) => !before.grants.has(grant));
  }

  /** Tells everybody who is not catching up. A reader with too much unread is left behind at `before`, and catches up by itself. */
  tell(entries: readonly FeedEntry[], before: Position, after: Position): void {
    const text = this.words(entries, before, after);
    if (text === "") return;
    const bytes = Buffer.from(text);
    for (const member of this.members) {
      if (member.behind !== undefined) continue;
      if (!member.reader.full) {
        member.reader.write(bytes);
        continue;
      }
      member.behind = before;
      this.#fellBehind(member);
    }
  }

  /** The same for one step of one reader; empty when nothing of it concerns this audience. */
  words(entries: readonly FeedEntry[], before: Position, after: Position): string {
    const told = tell(entries, this.#concern);
    if (told.leases.length === 0 && told.marks.length === 0) return "";
    return revokedFrames(told, this.#end(before), this.#end(after));
  }

  /** The heartbeat of those whose step it is. */
  beat(step: number, position: Position, now: number): void {
    for (const member of this.members) {
      if (member.step !== step) continue;
      member.reader.check();
      if (member.behind === undefined) member.reader.write(this.#heartbeat(position, now));
    }
  }

  /** The heartbeat of one, at once. */
  greet(member: Member, position: Position, now: number): void {
    member.reader.write(this.#heartbeat(position, now));
  }

  /** Its position says nothing here: a snapshot is due. It goes on from the present. */
  reset(member: Member, position: Position): void {
    member.behind = undefined;
    member.reader.write(resetFrame(position.asOf));
  }

  #heartbeat(position: Position, now: number): Buffer {
    const { id, asOf } = this.#end(position);
    const known = this.#sync;
    if (known !== undefined && known.id === id && known.asOf === asOf && known.now === now) return known.text;
    const text = Buffer.from(syncFrame(id, asOf, now));
    this.#sync = { id, asOf, now, text };
    return text;
  }

  #end(position: Position): StepEnd {
    return { id: encodePosition(position, this.owner), asOf: position.asOf };
  }
}
