import type { Issuer } from "../../domain/credential.ts";
import type { Clock } from "../../domain/time.ts";
import type { FeedStore } from "../../store/api.ts";
import type { Policy } from "../policy/policy.ts";
import { concernOf, type Concern, type FormerAudiences } from "./audience.ts";
import { catchUp } from "./catch-up.ts";
import type { Follower } from "./follower.ts";
import { startFollowing, STEPS, type Following } from "./following.ts";
import { OPENING } from "./frames.ts";
import { Group, type Member } from "./group.ts";
import { decodePosition } from "./position.ts";
import { Reader, type ReaderLimits, type Sink } from "./reader.ts";

export interface HubParts {
  readonly storeId: string;
  readonly feed: FeedStore;
  readonly now: Clock;
  readonly policy: () => Policy;
  readonly issuers: ReadonlyMap<string, Pick<Issuer, "computesOnly">>;
  readonly former: () => FormerAudiences;
  /** Tests hand in shorter ones. */
  readonly limits?: ReaderLimits;
}

/** One verifier's stream. */
export interface Subscription {
  readonly audience: string;
  /** Where to go on, as a position given out before; undefined begins with a reset. */
  readonly from: string | undefined;
  readonly sink: Sink;
  /** Asked after each reload: false ends the stream. */
  readonly welcome: () => boolean;
}

export interface HubStats {
  readonly subscribers: number;
  /** How old the knowledge is that verifiers are given; undefined while nobody is connected. */
  readonly lagMs: number | undefined;
}

/** Once the last reader has gone, following goes on for this long: it may only be reconnecting. */
const LINGER_MS = 10_000;

/** The feed of one broker process: one follower of the store for all verifiers. Does nothing at all while nobody is connected. */
export class Hub {
  readonly #parts: HubParts;
  readonly #groups = new Map<string, Group>();
  #following: Promise<Following> | undefined;
  #follower: Follower | undefined;
  /** As the groups were last sorted by. */
  #policy: Policy | undefined;
  #former: FormerAudiences | undefined;
  #members = 0;
  #lingering: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(parts: HubParts) {
    this.#parts = parts;
  }

  get stats(): HubStats {
    const asOf = this.#members === 0 ? undefined : this.#follower?.position.asOf;
    return { subscribers: this.#members, lagMs: asOf === undefined ? undefined : Math.max(0, this.#parts.now() - asOf) };
  }

  /** What concerns an audience now. */
  concern(audience: string): Concern {
    return concernOf(audience, this.#parts.policy(), this.#parts.issuers, this.#parts.former());
  }

  /** Starts following, if nobody has yet. Throws `store_unavailable`. */
  async ready(): Promise<void> {
    if (this.#closed) return;
    const { feed, now } = this.#parts;
    this.#linger(); // whoever asks is about to come: nothing stops under it
    const following = (this.#following ??= startFollowing(
      feed,
      now,
      {
        entries: (entries, before) => {
          const after = this.#follower?.position ?? before;
          for (const group of this.#groups.values()) group.tell(entries, before, after);
        },
        gap: () => this.#resetAll(),
      },
      (step) => this.#beat(step),
    ));
    try {
      const { follower } = await following;
      // Stopped while it was starting: what would be told of by it stays as it is for ever.
      if (this.#following !== following) return await this.ready();
      this.#follower = follower;
    } catch (error) {
      if (this.#following === following) this.#following = undefined;
      throw error;
    }
  }

  /** Begins a stream; `ready` comes before. It ends when the sink closes. */
  subscribe({ audience, from, sink, welcome }: Subscription): void {
    const follower = this.#follower;
    if (follower === undefined || this.#closed) return void sink.destroy();
    const group = this.#groupOf(audience);
    const member: Member = { reader: new Reader(sink, this.#parts.limits), step: this.#members % STEPS, welcome, behind: undefined };
    group.members.add(member);
    this.#members += 1;
    sink.once("close", () => this.#leave(group, member));
    member.reader.write(OPENING);
    const position = from === undefined ? undefined : decodePosition(from, group.owner);
    if (position === undefined) return group.reset(member, follower.position);
    member.behind = position;
    void catchUp(group, member, follower, this.#parts.now);
  }

  /** Ends every stream, and follows no more. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#lingering);
    for (const group of this.#groups.values()) for (const { reader } of group.members) reader.cut();
    await this.#stop();
  }

  #groupOf(audience: string): Group {
    const known = this.#groups.get(audience);
    if (known !== undefined) return known;
    const owner = { storeId: this.#parts.storeId, audience };
    const made: Group = new Group(owner, this.concern(audience), (member) => {
      if (this.#follower !== undefined) void catchUp(made, member, this.#follower, this.#parts.now);
    });
    this.#policy ??= this.#parts.policy();
    this.#former ??= this.#parts.former();
    this.#groups.set(audience, made);
    return made;
  }

  #leave(group: Group, member: Member): void {
    if (!group.members.delete(member)) return;
    this.#members -= 1;
    if (group.members.size === 0) this.#groups.delete(group.owner.audience);
    if (this.#members === 0) this.#linger();
  }

  #linger(): void {
    clearTimeout(this.#lingering);
    this.#lingering = setTimeout(() => this.#members === 0 && void this.#stop(), LINGER_MS).unref();
  }

  #beat(step: number): void {
    const follower = this.#follower;
    if (follower === undefined) return;
    if (step === 0 && (this.#policy !== this.#parts.policy() || this.#former !== this.#parts.former())) this.#reloaded();
    for (const group of this.#groups.values()) group.beat(step, follower.position, this.#parts.now());
  }

  /** After a reload: whose key is gone leaves; whoever is to hear of more than before may have missed some of it. */
  #reloaded(): void {
    const follower = this.#follower;
    this.#policy = this.#parts.policy();
    this.#former = this.#parts.former();
    for (const group of this.#groups.values()) {
      const more = group.change(this.concern(group.owner.audience));
      for (const member of group.members) {
        if (!member.welcome()) member.reader.cut();
        else if (more && follower !== undefined) group.reset(member, follower.position);
      }
    }
  }

  #resetAll(): void {
    const follower = this.#follower;
    if (follower === undefined) return;
    for (const group of this.#groups.values()) for (const member of group.members) group.reset(member, follower.position);
  }

  async #stop(): Promise<void> {
    const following = this.#following;
    this.#following = this.#follower = this.#policy = this.#former = undefined;
    if (following === undefined) return;
    await following.then(
      (running) => running.stop(),
      () => undefined,
    );
  }
}
