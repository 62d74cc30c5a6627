import { StintError } from "../domain/errors.ts";
import { BUCKETS, newId } from "../domain/ids.ts";
import type { Lease } from "../domain/lease.ts";
import { describe } from "./background.ts";
import type { Operator, Origin } from "./callers.ts";
import { inParallel } from "./leases/end.ts";
import type { Parts } from "./parts.ts";

/** Why nothing is issued, and what waits for a person. */
export interface HoldView {
  readonly held: boolean;
  readonly since: number | undefined;
  readonly reason: string | undefined;
  /** Revocations at targets that wait while the hold stands. */
  readonly waiting: readonly Lease[];
  /** Set while a high-water mark of the clock lies more than 60 s ahead. */
  readonly clockAheadMs: number | undefined;
}

export interface HoldService {
  show(): Promise<HoldView>;
  clear(operator: Operator, reason: string, origin: Origin): Promise<HoldView>;
}

/** What the audit files say of the store they were written from. */
export interface Witness {
  readonly storeId: string | undefined;
  /** The last sequence exported, by bucket; 0 where nothing was. */
  readonly sequences: readonly number[];
}

/** The audit files, as a hold needs them. */
export interface WitnessFiles {
  /** Undefined where there are no files yet. */
  witness(): Promise<Witness | undefined>;
  /** From here on the files go on from this store as it is now; written into them. */
  accept(store: Witness, by: string, reason: string): Promise<void>;
}

/** A mark of time further ahead than this only a person lets go. */
const MAX_AHEAD_MS = 60_000;
/** Waiting revocations that a view lists. */
const LISTED = 100;

export interface Hold extends HoldService {
  /** As last seen. True until the store has been asked for the first time. */
  onHold(): boolean;
  /** Asks the store; every second. */
  refresh(): Promise<void>;
  /** Compares store and files; at start and then now and again. A store that has gone back puts every broker on hold. */
  examine(): Promise<void>;
  /** Examines, and answers whether it is on hold now. */
  wentBack(): Promise<boolean>;
}

export interface HoldParts extends Pick<Parts, "store" | "now" | "log" | "events" | "issuers"> {
  /** How long jobs are remembered. */
  readonly retentionMs: () => number;
}

export function createHold(parts: HoldParts, files: WitnessFiles): Hold {
  let held = true;
  let aheadMs = 0;
  let since: number | undefined;
  let reason: string | undefined;
  /** Every bucket has its mark, as far as this process has seen to it itself. */
  let inForce = false;

  async function refresh(): Promise<void> {
    const seen = await parts.store.hold.show();
    if (seen.onHold) since ??= parts.now();
    if (!seen.onHold) {
      since = reason = undefined;
      inForce = false;
    }
    held = seen.onHold;
    aheadMs = seen.aheadMs;
  }

  async function examine(): Promise<void> {
    const witness = await files.witness();
    if (witness === undefined) return;
    const why = goneBack(await current(parts), witness);
    if (held && inForce) return;
    // A hold that another broker, or this one before it failed, may have set half-way is set again: its own records may have let the
    // store catch up with the files, and then nothing else tells that buckets are without their mark.
    if (why === undefined && !(await parts.store.hold.show()).onHold) return;
    reason = why ?? reason;
    since ??= parts.now();
    held = true;
    if (why !== undefined) parts.log.error({ reason: why }, "the store has gone back: on hold until an admin clears it");
    const audit = { action: "hold.set" as const, principal: "broker", reason: reason ?? "on hold already; set again" };
    await parts.store.hold.set(audit);
    // Whatever the store lost was live once: nothing issued before this moment is honoured.
    const buckets = [...Array(BUCKETS).keys()];
    const at = await parts.store.revocations.instant(buckets);
    await inParallel(buckets, 16, async (bucket) => void (await parts.store.revocations.mark(bucket, { kind: "all" }, at, audit)));
    inForce = true;
    if (why !== undefined) parts.events.publish("hold.set", { reason: why });
  }

  async function show(): Promise<HoldView> {
    await refresh();
    const waiting = held ? await waitingLeases(parts) : [];
    return {
      held,
      since,
      reason: held ? (reason ?? "set before this broker started, or by another one") : undefined,
      waiting,
      clockAheadMs: aheadMs > MAX_AHEAD_MS ? aheadMs : undefined,
    };
  }

  return {
    onHold: () => held,
    refresh,
    examine,
    show,
    async wentBack() {
      await examine();
      return held;
    },
    async clear(operator, why, origin) {
      if (why.trim() === "") throw new StintError("invalid_request", "say why the hold is cleared");
      await examine();
      await refresh();
      // Nothing to let go of: nothing to write into files that others verify.
      if (!held && aheadMs <= 0) return show();
      const by = `operator:${operator.name}`;
      await files.accept(await current(parts), by, why);
      if (held) await cleanUp(parts, by, why);
      await parts.store.hold.clear({ action: "hold.cleared", principal: by, reason: why, trace_id: origin.traceId });
      parts.events.publish("hold.cleared", { by: operator.name });
      return show();
    },
  };
}

/**
 * What the mark has killed may still open doors at targets: whichever broker looks next ends it there, too. Nothing was opened on hold,
 * so the instant of now covers all that the mark covers, and nothing that comes after.
 */
async function cleanUp({ store, retentionMs }: HoldParts, by: string, reason: string): Promise<void> {
  const at = await store.revocations.instant([...Array(BUCKETS).keys()]);
  const nothingYet = { matched: 0, ended: 0, inForceAt: undefined, lockId: undefined, endings: [] };
  const job = { id: newId("rev", at), state: "marking" as const, selector: { all: true }, reason, by, at, ...nothingYet };
  await store.revocations.create(job, retentionMs());
}

async function current(parts: HoldParts): Promise<Witness> {
  const states = await parts.store.audit.states();
  return { storeId: parts.store.id, sequences: states.map(({ lastSeq }) => lastSeq) };
}

/** Why the store cannot be the one the files were written from, as it was then; undefined when it can. */
export function goneBack(store: Witness, witness: Witness): string | undefined {
  if (witness.storeId !== undefined && witness.storeId !== store.storeId) return "the audit files were written from another store";
  const bucket = witness.sequences.findIndex((sequence, index) => (store.sequences[index] ?? 0) < sequence);
  if (bucket < 0) return undefined;
  return `the store has gone back: bucket ${bucket} has given out ${store.sequences[bucket] ?? 0} audit records, and ${witness.sequences[bucket] ?? 0} were exported`;
}

async function waitingLeases(parts: HoldParts): Promise<readonly Lease[]> {
  const waiting: Lease[] = [];
  try {
    for (const state of ["revoking", "stuck"]) {
      const { items } = await parts.store.leases.list({ state }, undefined, LISTED);
      // What only a signature made waits for nobody: the mark has ended it, and the clean-up goes on.
      waiting.push(...items.filter(({ issuer }) => parts.issuers.get(issuer)?.computesOnly !== true));
    }
  } catch (error) {
    parts.log.warn({ error: describe(error) }, "leases that wait could not be listed");
  }
  return waiting.slice(0, LISTED);
}
