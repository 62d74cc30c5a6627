import type { LeaseId, RevocationId, TaskId } from "../../domain/ids.ts";
import type { LeaseEnding } from "../../store/api.ts";
import { describe } from "../background.ts";
import { revocationClassOf } from "../leases/revocation-class.ts";
import type { Parts } from "../parts.ts";
import { pause } from "../sweeper/schedule.ts";
import type { Acknowledged } from "./acknowledged.ts";
import { deathByList, deathOf, delayOf, type Death, type Knower } from "./dead-by.ts";
import { decodePosition, type Position } from "./position.ts";

/** What receipts may say of tokens that verifiers check. */
export interface Facts {
  /** The endings with what is known now. A class that the policy in force no longer bears out is weakened. */
  of(endings: readonly LeaseEnding[]): Promise<readonly LeaseEnding[]>;
  /** Waits for acknowledgements that are on their way, no longer than a quarter of a second or than the time left. */
  awaited(endings: readonly LeaseEnding[], leftMs?: number): Promise<void>;
  /** How long after an ending the last verifier of these grants may go on honouring a token, as things stand. */
  delayMs(grants: Iterable<string>): Promise<number>;
  /** As `of`; what is final is written down with the task or revocation, so that no later receipt says anything else. */
  settled(of: TaskId | RevocationId, endings: readonly LeaseEnding[]): Promise<readonly LeaseEnding[]>;
}

/** An answer waits so long for acknowledgements; another broker's are looked for in between. */
const AWAIT_MS = 250;
const LOOK_MS = 60;
const BREATH_MS = 15;

type FactsParts = Pick<Parts, "store" | "now" | "policy" | "issuers" | "log">;

export function createFacts(parts: FactsParts, acknowledged: Acknowledged): Facts {
  const { store, now, policy, issuers } = parts;

  /** The audience of an ending whose class still holds; undefined where nobody need be asked, or none can be. */
  function checkedAudience({ revocation, grant }: LeaseEnding): string | undefined {
    if (revocation !== "verifier_checked" || grant === undefined) return undefined;
    const issue = policy().grants.get(grant)?.issue;
    const issuer = issue === undefined ? undefined : issuers.get(issue.issuer);
    if (issue === undefined || issuer === undefined) return undefined;
    return revocationClassOf(issuer, issue.audience, policy()) === "verifier_checked" ? issue.audience : undefined;
  }

  /** Those who read the feed, by audience, with their positions read. */
  async function knowers(audiences: ReadonlySet<string>): Promise<ReadonlyMap<string, readonly Knower[]>> {
    const verifiers = [...policy().verifiers.values()].filter(({ checks, audience }) => checks === "feed" && audiences.has(audience));
    const seen = await acknowledged.of(verifiers.map(({ name }) => name));
    const found = new Map<string, Knower[]>();
    for (const { name, audience } of verifiers) {
      const owner = { storeId: store.id, audience };
      // Instances in step say the same words: each is read once.
      const read = new Map<string, Position | undefined>();
      const here = (seen.get(name) ?? []).map(({ position: said, ...each }) => {
        if (said !== undefined && !read.has(said)) read.set(said, decodePosition(said, owner));
        return { ...each, position: said === undefined ? undefined : read.get(said) };
      });
      found.set(audience, [...(found.get(audience) ?? []), ...here]);
    }
    return found;
  }

  async function deaths(endings: readonly LeaseEnding[]): Promise<ReadonlyMap<LeaseId, Death>> {
    const open = endings.filter(({ revocation, deadBy }) => revocation === "verifier_checked" && deadBy === undefined);
    if (open.length === 0) return new Map();
    const known = await knowers(new Set(open.flatMap((ending) => checkedAudience(ending) ?? [])));
    const at = now();
    return new Map(
      open.flatMap((ending) => {
        const checkedWithinMs = issuers.get(ending.issuer)?.checkedWithinMs;
        if (checkedWithinMs !== undefined) return [[ending.leaseId, deathByList(ending, checkedWithinMs, at)] as const];
        const audience = checkedAudience(ending);
        return audience === undefined ? [] : [[ending.leaseId, deathOf(ending, known.get(audience) ?? [], at)] as const];
      }),
    );
  }

  const told = (endings: readonly LeaseEnding[], found: ReadonlyMap<LeaseId, Death>): readonly LeaseEnding[] =>
    endings.map((ending) => {
      if (ending.revocation !== "verifier_checked" || ending.deadBy !== undefined) return ending;
      const death = found.get(ending.leaseId);
      return death === undefined ? { ...ending, revocation: "expiry_only" } : { ...ending, deadBy: death.deadBy };
    });

  return {
    of: async (endings) => told(endings, await deaths(endings)),

    async awaited(endings, leftMs = AWAIT_MS) {
      const over = new AbortController();
      const timer = setTimeout(() => over.abort(), Math.min(AWAIT_MS, leftMs));
      let wake: () => void = () => undefined;
      const stop = acknowledged.onAcknowledged(() => wake());
      try {
        while (!over.signal.aborted) {
          const heard = new Promise<void>((resolve) => (wake = resolve));
          const found = await deaths(endings);
          if (![...found.values()].some(({ awaited }) => awaited)) return;
          await Promise.race([heard, pause(LOOK_MS, over.signal)]);
          // A thousand verifiers say so at nearly the same time: one look for many of them.
          await pause(BREATH_MS, over.signal);
        }
      } finally {
        clearTimeout(timer);
        stop();
      }
    },

    async delayMs(named) {
      const grants = [...named];
      const known = await knowers(new Set(grants.flatMap((grant) => policy().grants.get(grant)?.issue.audience ?? [])));
      const lists = grants.flatMap((grant) => issuers.get(policy().grants.get(grant)?.issue.issuer ?? "")?.checkedWithinMs ?? []);
      return Math.max(0, ...lists, ...[...known.values()].flat().map((instance) => delayOf(instance, now())));
    },

    async settled(of, endings) {
      const found = await deaths(endings);
      const final = new Map([...found].flatMap(([lease, { final: known, deadBy }]) => (known ? [[lease, deadBy] as const] : [])));
      // A receipt that cannot be written down is still a good answer.
      if (final.size > 0)
        await store.seen
          .noteDead(of, final)
          .catch((error: unknown) => parts.log.warn({ receipt: of, error: describe(error) }, "times of death were not written down"));
      return told(endings, found);
    },
  };
}
