import type { Issuer } from "../domain/credential.ts";
import type { Problem } from "../domain/errors.ts";
import { systemClock, type Clock } from "../domain/time.ts";
import { issuerCatalog } from "../issuers/catalog.ts";
import type { StoreClock } from "../store/api.ts";
import { redisKeyDocuments } from "../store/key-documents.ts";
import { createSigningKeys } from "../store/key-rotation.ts";
import { openStore, type OpenedStore } from "../store/open.ts";
import type { RedisTarget } from "../store/redis-target.ts";
import type { SigningKeys } from "../store/signing-keys.ts";
import { createSealer } from "../store/sealing.ts";
import { createAttestor } from "./attestation/oidc.ts";
import type { AuditTrail } from "./audit-trail.ts";
import { createBackground } from "./background.ts";
import { composeServices } from "./compose-services.ts";
import type { Duties } from "./duties.ts";
import { createEventBus } from "./events.ts";
import { createGate } from "./gate.ts";
import { createHold } from "./hold.ts";
import type { Log, Parts } from "./parts.ts";
import { PolicyHolder, type Reload } from "./policy/holder.ts";
import { loadDocuments } from "./policy/load.ts";
import type { Services } from "./services.ts";
import type { Swept } from "./sweeper/sweep.ts";
import { ownSignatures } from "./tokens/own-signatures.ts";

/** What a broker is made from, once the environment has been read. */
export interface BrokerOptions {
  readonly url: string;
  /** As the store's `connect` takes it. */
  readonly redis: string | RedisTarget;
  readonly requireAof: boolean;
  /** The first one seals. */
  readonly masterKeys: readonly Buffer[];
  readonly policyPath: string;
  readonly operators: { readonly file: string; readonly text: string };
  readonly log: Log;
  readonly openAudit: (parts: { readonly store: OpenedStore; readonly keys: SigningKeys; readonly url: string; readonly now: Clock }) => AuditTrail;
  /** Tests hand in time, and issuers of their own. */
  readonly storeClock?: StoreClock;
  readonly issuers?: readonly Issuer[];
  readonly random?: () => number;
}

/** A broker without its listeners: its services, and the hands that its process and tests have on it. */
export interface Broker extends AsyncDisposable {
  readonly services: Services;
  readonly store: OpenedStore;
  readonly duties: Duties;
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

/** A policy or operator file that cannot come into force at start. */
export class UnusableConfiguration extends Error {
  override readonly name = "UnusableConfiguration";
  readonly exitCode = 78;
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super(problems.map(({ file, line, column, message, help }) => `${[file, line, column].filter((part) => part !== undefined).join(":")}: ${message}${help === undefined ? "" : ` (${help})`}`).join("\n"));
    this.problems = problems;
  }
}

/** How long a drain waits for work behind answers. */
const DRAIN_MS = 8_000;
/** How long a start waits for its own first record to reach the files. */
const START_EXPORT_MS = 5_000;

/** The only place that constructs things. Throws `UnusableConfiguration`, or `store_unavailable` when Redis cannot be used. */
export async function createBroker(options: BrokerOptions): Promise<Broker> {
  const { log, url } = options;
  const store = await openStore({ url: options.redis, requireAof: options.requireAof, ...(options.storeClock === undefined ? {} : { clock: options.storeClock }) });
  try {
    return await assemble(options, store);
  } catch (error) {
    await store.close();
    log.error({ url, error: String(error).slice(0, 500) }, "broker could not be made");
    throw error;
  }
}

async function assemble(options: BrokerOptions, store: OpenedStore): Promise<Broker> {
  const { log, url } = options;
  const now: Clock = () => store.clock.now();
  const leaving = { announced: false, closed: false };

  const sealer = createSealer(options.masterKeys);
  const { keys, rotation } = createSigningKeys({ documents: redisKeyDocuments(store.client), sealer, clock: now, audit: (facts) => store.audit.append(0, facts) });
  await rotation.ensure();
  const issuers = new Map([...issuerCatalog({ issuer: url, keys }), ...(options.issuers ?? []).map((issuer) => [issuer.kind, issuer] as const)]);

  const context = () => ({ stintUrl: url, issuers: Object.fromEntries([...issuers].map(([kind, issuer]) => [kind, issuer.params])), now: now() });
  const { holder, problems } = await PolicyHolder.open(options.policyPath, context);
  if (holder === undefined) throw new UnusableConfiguration(problems);
  const policy = () => holder.current();

  const events = createEventBus(systemClock);
  const background = createBackground(log);
  const audit = options.openAudit({ store, keys, url, now });
  const hold = createHold({ store, now, log, events, issuers }, audit);
  const gate = createGate({
    draining: () => leaving.closed,
    onHold: hold.onHold,
    clockAgrees: () => store.clock.agreed(),
    auditHealthy: () => audit.healthy(),
    storeSafe: () => store.facts().evictionPolicy === "noeviction",
  });
  const attestor = createAttestor({ trusts: () => policy().trusts, clock: now });
  const parts: Parts = {
    url, store, now, policy, issuers, gate, events, log, background,
    attest: (evidence) => attestor.attest(evidence.reveal()),
    signatures: ownSignatures(keys),
    sealer: { seal: (leaseId, handle) => sealer.seal("revocation-handle", leaseId, handle), open: (leaseId, sealed) => sealer.open("revocation-handle", leaseId, sealed) },
    onHold: hold.onHold,
    random: options.random ?? Math.random,
  };

  const works = composeServices(parts, { keys, rotation, audit, hold, compile: (documents) => loadDocuments(documents, context()), problems: () => holder.problems(), draining: () => leaving.announced || leaving.closed });
  const wrong = works.operators.replace(options.operators.text, options.operators.file);
  if (wrong.length > 0) throw new UnusableConfiguration(wrong);

  await hold.refresh();
  await hold.examine();
  await store.audit.append(0, { action: "broker.started", principal: "broker", policy: policy().version });
  await audit.exportWaiting(AbortSignal.timeout(START_EXPORT_MS));

  function reloaded(reload: Reload): void {
    const action = reload.ok ? ("policy.loaded" as const) : ("policy.refused" as const);
    background.run("record a reload", () => store.audit.append(0, { action, principal: "broker", policy: reload.policy.version }));
    events.publish(action, { policy: reload.policy.version, problems: reload.problems.length });
  }

  let drained: Promise<void> | undefined;
  async function drain(): Promise<void> {
    leaving.closed = true;
    await works.duties.drain();
    await background.settle(DRAIN_MS);
    // What is left is on record: another broker, or this one when it starts again, goes on with it.
    await works.unverified.flush().catch((error: unknown) => log.warn({ error: String(error).slice(0, 200) }, "refusals of unverified evidence were not written"));
    await store.audit.append(0, { action: "broker.stopped", principal: "broker" }).catch(() => undefined);
    await audit.exportWaiting(AbortSignal.timeout(1_000)).catch(() => undefined);
    await audit.close();
    await store.close();
  }
  const drainOnce = (): Promise<void> => (drained ??= drain());

  return {
    services: works.services,
    store,
    duties: works.duties,
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
