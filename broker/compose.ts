import type { Problem } from "../domain/errors.ts";
import { openStore, type OpenedStore } from "../store/open.ts";
import { describe } from "./background.ts";
import { makeAll, UnusableConfiguration, type BrokerOptions, type Leaving } from "./compose-parts.ts";
import type { Duties } from "./duties.ts";
import type { EventBus } from "./events.ts";
import { reportLeftovers } from "./leftovers.ts";
import type { Reload } from "./policy/holder.ts";
import type { Services } from "./services.ts";
import type { Swept } from "./sweeper/sweep.ts";

export { UnusableConfiguration, type BrokerOptions } from "./compose-parts.ts";

/** A broker without its listeners: its services, and the hands that its process and tests have on it. */
export interface Broker extends AsyncDisposable {
  readonly services: Services;
  readonly store: OpenedStore;
  readonly duties: Duties;
  readonly events: EventBus;
  /** What the policy's last load found. */
  readonly problems: () => readonly Problem[];
  /** Names of the grants in force. */
  readonly grants: () => Iterable<string>;
  /** Reloads the policy whenever its files change. Returns how to stop. */
  watch(onFailure: (error: unknown) => void): () => void;
  /** One pass of the sweeper. Calls at targets go on behind it; `settled` waits for them. */
  sweep(): Promise<Swept>;
  settled(): Promise<void>;
  /** Reads policy and operators anew: all or nothing of each. */
  reload(operators: BrokerOptions["operators"]): Promise<{ readonly policy: Reload; readonly operators: readonly Problem[] }>;
  /** Says by its readiness that no more requests should come; those that do are still answered. */
  announceDrain(): void;
  /** Issues nothing more, lets what is under way end, and closes the store. At most ten seconds. */
  drain(): Promise<void>;
}

/** How long a drain waits for work behind answers. */
const DRAIN_MS = 4_000;
/** How long a start waits for its own first record to reach the files. */
const START_EXPORT_MS = 5_000;

/** The only place that constructs things. Throws `UnusableConfiguration`, or `store_unavailable` when Redis cannot be used. */
export async function createBroker(options: BrokerOptions): Promise<Broker> {
  const { log, url, meter } = options;
  const store = await openStore({
    url: options.redis,
    requireAof: options.requireAof,
    ...(options.storeClock === undefined ? {} : { clock: options.storeClock }),
    ...(meter === undefined ? {} : { observe: (work, outcome, ms) => meter.storeCall(work, outcome, ms / 1000) }),
  });
  try {
    return await assemble(options, options.wrapStore?.(store) ?? store);
  } catch (error) {
    await store.close();
    log.error({ url, error: describe(error) }, "broker could not be made");
    throw error;
  }
}

async function assemble(options: BrokerOptions, store: OpenedStore): Promise<Broker> {
  const { log } = options;
  const leaving: Leaving = { announced: false, closed: false };
  const { parts, works, holder, audit, hold, registry } = await makeAll(options, store, leaving, options.random ?? Math.random);
  const { policy, events, background } = parts;
  const wrong = works.operators.replace(options.operators.text, options.operators.file);
  if (wrong.length > 0) throw new UnusableConfiguration(wrong);

  await works.feed.notePolicies(policy());
  await hold.refresh();
  await hold.examine();
  await store.audit.append(0, { action: "broker.started", principal: "broker", policy: policy().version });
  await audit.exportWaiting(AbortSignal.timeout(START_EXPORT_MS));

  function reloaded(reload: Reload): void {
    const action = reload.ok ? ("policy.loaded" as const) : ("policy.refused" as const);
    background.run("record a reload", () => store.audit.append(0, { action, principal: "broker", policy: reload.policy.version }));
    if (reload.ok) registry.follow(reload.policy);
    if (reload.ok) background.run("note for whom grants issue", () => works.feed.notePolicies(reload.before, reload.policy));
    if (reload.ok) background.run("report what a reload leaves behind", () => reportLeftovers(parts, reload.before, reload.policy));
    events.publish(action, { policy: reload.policy.version, problems: reload.problems.length });
  }

  let drained: Promise<void> | undefined;
  async function drain(): Promise<void> {
    leaving.closed = true;
    await works.feed.close();
    await works.duties.drain();
    await background.settle(DRAIN_MS);
    await registry.close();
    // What is left is on record: another broker, or this one when it starts again, goes on with it.
    await works.unverified
      .flush()
      .catch((error: unknown) => log.warn({ error: describe(error) }, "refusals of unverified evidence were not written"));
    await store.audit.append(0, { action: "broker.stopped", principal: "broker" }).catch(() => undefined);
    await audit.exportWaiting(AbortSignal.timeout(1_000)).catch(() => undefined);
    await audit.close().catch((error: unknown) => log.warn({ error: describe(error) }, "the audit files were not closed cleanly"));
    await store.close();
  }
  const drainOnce = (): Promise<void> => (drained ??= drain());

  return {
    services: works.services,
    store,
    duties: works.duties,
    events,
    problems: () => holder.problems(),
    grants: () => policy().grants.keys(),
    watch: (onFailure) => holder.watch(reloaded, onFailure),
    sweep: () => works.sweeper.sweep(),
    settled: () => background.settle(DRAIN_MS),
    async reload(from) {
      const fresh = await holder.reload();
      const mistakes = works.operators.replace(from.text, from.file);
      reloaded(fresh);
      return { policy: fresh, operators: mistakes };
    },
    announceDrain: () => void (leaving.announced = true),
    drain: drainOnce,
    [Symbol.asyncDispose]: drainOnce,
  };
}
