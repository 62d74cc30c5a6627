import { StintError } from "../../domain/errors.ts";
import type { SeenInstance } from "../../store/api.ts";
import type { Parts } from "../parts.ts";
import type { Policy } from "../policy/policy.ts";
import type { Acknowledged } from "./acknowledged.ts";
import type { FeedOrder, FeedService, InstanceStatus } from "./api.ts";
import { AudienceMemory } from "./former-audiences.ts";
import { Hub } from "./hub.ts";
import { FED_EVERY_MS } from "./limits.ts";
import { decodePosition, type PositionOwner } from "./position.ts";
import { noteUses } from "./used.ts";
import { snapshotLines } from "./snapshot.ts";

/** Streams of one process, and snapshots that it writes side by side. */
const MAX_STREAMS = 2_000;
const MAX_SNAPSHOTS = 64;

type FeedParts = Pick<Parts, "url" | "store" | "now" | "policy" | "issuers" | "events">;

/** The feed's service, and how a process that ends lets go of its streams. */
export interface Feed extends FeedService {
  /** After a reload, at start, and now and then: what the policies issue for, and did. */
  notePolicies(...policies: readonly Policy[]): Promise<void>;
  close(): Promise<void>;
}

export function createFeed(parts: FeedParts, acknowledged: Acknowledged): Feed {
  const { store, now, policy, issuers } = parts;
  const memory = new AudienceMemory(store.audiences);
  const hub = new Hub({ storeId: store.id, feed: store.feed, now, policy, issuers, former: () => memory.known });
  let snapshots = 0;
  const ownerOf = (audience: string): PositionOwner => ({ storeId: store.id, audience });

  function heard(verifier: string, instance: string, maxStalenessMs: number, position?: string): void {
    if (acknowledged.note(verifier, { instance, maxStalenessMs, position })) return;
    throw new StintError("too_many_requests", `the verifier ${verifier} has too many instances; give each a name that it keeps`, {
      retryAfterSeconds: 10,
    });
  }

  return {
    async open(order) {
      if (hub.stats.subscribers >= MAX_STREAMS)
        throw new StintError("too_many_requests", `${MAX_STREAMS} verifiers are connected to this broker already`, {
          retryAfterSeconds: 5,
        });
      const { verifier, instance, maxStalenessMs } = order;
      heard(verifier.name, instance, maxStalenessMs);
      await hub.ready();
      return (sink) => {
        // Whoever is fed may be honouring tokens by it: receipts must count with that even if it never says what it has seen.
        const timer = setInterval(
          () => void acknowledged.note(verifier.name, { instance, maxStalenessMs, position: undefined }),
          FED_EVERY_MS,
        );
        timer.unref();
        sink.once("close", () => clearInterval(timer));
        hub.subscribe(subscriptionOf(order, sink));
      };
    },

    async *snapshot({ audience }) {
      if (snapshots >= MAX_SNAPSHOTS)
        throw new StintError("too_many_requests", "too many snapshots are being read at once", { retryAfterSeconds: 1 });
      snapshots += 1;
      try {
        yield* snapshotLines(store.feed, now, { owner: ownerOf(audience), issuer: parts.url, concern: hub.concern(audience) });
      } finally {
        snapshots -= 1;
      }
    },

    seen(verifier, instance, position, maxStalenessMs) {
      // A position of another store or audience acknowledges nothing here.
      const known = decodePosition(position, ownerOf(verifier.audience)) === undefined ? undefined : position;
      heard(verifier.name, instance, maxStalenessMs, known);
    },

    used: (verifier, instance, uses, origin) =>
      noteUses(parts, { verifier, instance, concern: hub.concern(verifier.audience), origin }, uses),
    usesOf: (leases) => store.uses.of(leases),

    async verifiers() {
      const all = [...policy().verifiers.values()];
      const seen = await acknowledged.of(all.map(({ name }) => name));
      const at = now();
      return all.map((verifier) => ({
        verifier,
        instances: (seen.get(verifier.name) ?? []).map((instance) => statusOf(instance, ownerOf(verifier.audience), at)),
      }));
    },

    stats: () => hub.stats,
    notePolicies: (...policies) => memory.note(...policies),
    close: () => hub.close(),
  };
}

const subscriptionOf = ({ verifier, from, welcome }: FeedOrder, sink: Parameters<Awaited<ReturnType<FeedService["open"]>>>[0]) => ({
  audience: verifier.audience,
  from,
  sink,
  welcome,
});

/** How an instance stands at `now`. */
export function statusOf({ position, ...seen }: SeenInstance, owner: PositionOwner, now: number): InstanceStatus {
  const asOf = position === undefined ? undefined : decodePosition(position, owner)?.asOf;
  const behindMs = asOf === undefined ? undefined : Math.max(0, now - asOf);
  return {
    ...seen,
    ackedAt: asOf === undefined ? undefined : seen.ackedAt,
    asOf,
    behindMs,
    stale: behindMs === undefined || behindMs > seen.maxStalenessMs,
  };
}
