import type { Policy } from "./policy/policy.ts";
import { keysLog, meteredAttest } from "./telemetry/metered.ts";
import { unmetered, type Meter } from "./telemetry/meter.ts";
import type { Issuer } from "../domain/credential.ts";
import type { Problem } from "../domain/errors.ts";
import type { IssuerKind } from "../domain/target.ts";
import { systemClock, type Clock } from "../domain/time.ts";
import { issuerCatalog, issuerKinds } from "../issuers/catalog.ts";
import type { StoreClock } from "../store/api.ts";
import { redisKeyDocuments } from "../store/key-documents.ts";
import { createSigningKeys } from "../store/key-rotation.ts";
import type { OpenedStore } from "../store/open.ts";
import type { RedisTarget } from "../store/redis-target.ts";
import { createSealer, type Sealer } from "../store/sealing.ts";
import type { SigningKeys } from "../store/signing-keys.ts";
import { createAttestor } from "./attestation/oidc.ts";
import type { AuditTrail } from "./audit-trail.ts";
import { createBackground } from "./background.ts";
import { composeServices, type Works } from "./compose-services.ts";
import { createProofs } from "./dpop/service.ts";
import { createEventBus } from "./events.ts";
import { Acknowledged } from "./feed/acknowledged.ts";
import { createFacts } from "./feed/facts.ts";
import { createGate, type Gate } from "./gate.ts";
import { createHold, type Hold } from "./hold.ts";
import type { HandleSealer, Log, Parts } from "./parts.ts";
import { PolicyHolder } from "./policy/holder.ts";
import { loadDocuments } from "./policy/load.ts";
import { resealAll } from "./reseal.ts";
import { createStatusLists } from "./status-list/service.ts";
import { targetSecrets } from "./targets/reseal.ts";
import { createDoor } from "./targets/door.ts";
import { enderOf } from "./targets/places.ts";
import { TargetWatch } from "./targets/watch.ts";
import { createBreakers } from "./sweeper/breaker.ts";
import { IssuerRegistry } from "./targets/registry.ts";
import { taskSignatures } from "./tasks/signature.ts";
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
  /** Told how long things take; nobody unless given. */
  readonly meter?: Meter;
  readonly openAudit: (parts: {
    readonly store: OpenedStore;
    readonly keys: SigningKeys;
    readonly url: string;
    readonly now: Clock;
  }) => AuditTrail;
  /** Where Targets find a secret that they name as `env:NAME`. */
  readonly variable?: (name: string) => string | undefined;
  /** Tests hand in time, and issuers of their own. */
  readonly storeClock?: StoreClock;
  readonly issuers?: readonly Issuer[];
  readonly kinds?: ReadonlyMap<string, IssuerKind>;
  readonly random?: () => number;
  /** Tests stand between the broker and its store with this: nothing in the product does. */
  readonly wrapStore?: (store: OpenedStore) => OpenedStore;
}

/** A policy or operator file that cannot come into force at start. */
export class UnusableConfiguration extends Error {
  override readonly name = "UnusableConfiguration";
  readonly exitCode = 78;
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super(
      problems
        .map(
          ({ file, line, column, message, help }) =>
            `${[file, line, column].filter((part) => part !== undefined).join(":")}: ${message}${help === undefined ? "" : ` (${help})`}`,
        )
        .join("\n"),
    );
    this.problems = problems;
  }
}

/** How far a broker has come on its way out. */
export interface Leaving {
  announced: boolean;
  closed: boolean;
}

/** A broker's parts and works, not yet running. */
export interface Made {
  readonly parts: Parts;
  readonly works: Works;
  readonly holder: PolicyHolder;
  readonly audit: AuditTrail;
  readonly hold: Hold;
  readonly registry: IssuerRegistry;
}

/** Constructs everything beneath and in the services. Throws `UnusableConfiguration`. */
export async function makeAll(options: BrokerOptions, store: OpenedStore, leaving: Leaving, random: () => number): Promise<Made> {
  const { log, url } = options;
  const now: Clock = () => store.clock.now();
  const sealer = createSealer(options.masterKeys);
  const { keys, rotation } = createSigningKeys({
    documents: redisKeyDocuments(store.client, store.keep),
    sealer,
    clock: now,
    audit: (facts) => store.audit.append(0, facts),
  });
  await rotation.ensure();
  const builtIn = new Map([
    ...issuerCatalog({ issuer: url, keys }),
    ...(options.issuers ?? []).map((issuer) => [issuer.kind, issuer] as const),
  ]);

  const context = () => ({
    stintUrl: url,
    issuers: Object.fromEntries([...builtIn].map(([kind, issuer]) => [kind, issuer.params])),
    kinds: options.kinds ?? issuerKinds,
    now: now(),
  });
  const { holder, problems } = await PolicyHolder.open(options.policyPath, context);
  if (holder === undefined) throw new UnusableConfiguration(problems);
  const policy = () => holder.current();
  const background = createBackground(log);
  const variable = options.variable ?? (() => undefined);
  const ports = { url, now, records: store.targets, sealer, policyPath: options.policyPath, variable, log };
  const registry = new IssuerRegistry(builtIn, ports, background);
  registry.follow(policy());
  const { issuers } = registry;

  const events = createEventBus(systemClock);
  const audit = options.openAudit({ store, keys, url, now });
  const hold = createHold({ store, now, log, events, issuers, retentionMs: () => policy().settings.retentionMs }, audit);
  const meter = options.meter ?? unmetered;
  const trusts = (): Policy["trusts"] => policy().trusts;
  const attestor = createAttestor({ trusts, clock: now, log: keysLog(log, meter) });
  const gate = gateOf(store, audit, hold, leaving);
  const breakers = createBreakers(now);
  const watch = new TargetWatch({ store, now, log, events, breakers, ...hold }, () => registry.targets());
  const acknowledged = new Acknowledged(store.seen, now, background);
  const signatures = ownSignatures(keys);
  const parts: Parts = {
    url,
    store,
    now,
    policy,
    issuers,
    enderOf: (lease, hasHandle) => enderOf(registry, lease, hasHandle),
    door: createDoor(registry, watch, breakers),
    posture: () => watch.posture(),
    gate,
    events,
    log,
    background,
    facts: createFacts({ store, now, policy, issuers, log }, acknowledged),
    attest: meteredAttest((evidence) => attestor.attest(evidence.reveal()), trusts, meter),
    meter,
    signatures,
    statusLists: createStatusLists({ url, now, statuses: store.statuses, signatures }),
    refreshKeys: async () => void (await keys.refresh()),
    sealer: handlesOf(sealer),
    onHold: () => hold.onHold(),
    random,
  };
  const compile = (documents: Parameters<typeof loadDocuments>[0]) => loadDocuments(documents, context());
  const works = composeServices(parts, {
    acknowledged,
    keys,
    rotation,
    registry,
    watch,
    breakers,
    reseal: async (by) =>
      (await rotation.reseal(by)) +
      (await resealAll(store.handles, sealer, log)) +
      (await resealAll(targetSecrets(store.targets), sealer, log)),
    audit,
    hold,
    taskSignatures: taskSignatures(keys),
    proofs: createProofs({ url, masterKeys: options.masterKeys, clock: now }),
    compile,
    problems: () => holder.problems(),
    draining: () => leaving.announced || leaving.closed,
  });
  return { parts, works, holder, audit, hold, registry };
}

const gateOf = (store: OpenedStore, audit: AuditTrail, hold: Hold, leaving: Leaving): Gate =>
  createGate({
    draining: () => leaving.closed,
    onHold: () => hold.onHold(),
    storeHeard: () => store.clock.offsetMs() !== undefined,
    clockAgrees: () => store.clock.agreed(),
    auditHealthy: () => audit.healthy(),
    storeSafe: () => {
      const { evictionPolicy, aof, aofRequired } = store.facts();
      return evictionPolicy === "noeviction" && (aof || !aofRequired);
    },
  });

const handlesOf = (sealer: Sealer): HandleSealer => ({
  seal: (leaseId, handle) => sealer.seal("revocation-handle", leaseId, handle),
  open: (leaseId, sealed) => sealer.open("revocation-handle", leaseId, sealed),
});
