import type { Problem } from "../domain/errors.ts";
import type { KeyRotation } from "../store/key-rotation.ts";
import type { SigningKeys } from "../store/signing-keys.ts";
import type { AuditTrail } from "./audit-trail.ts";
import { createActions } from "./authorize/service.ts";
import { createDenials } from "./denials/service.ts";
import { createUnverified, type Unverified } from "./denials/unverified.ts";
import type { ProofService } from "./dpop/service.ts";
import { createDuties, type Duties } from "./duties.ts";
import type { Acknowledged } from "./feed/acknowledged.ts";
import { createFeed, type Feed } from "./feed/service.ts";
import type { Hold } from "./hold.ts";
import { createIdentify } from "./identify.ts";
import { createKeys } from "./keys.ts";
import { createLeases } from "./leases/service.ts";
import { createOperators, type Operators } from "./operators.ts";
import type { Parts } from "./parts.ts";
import { createPolicyService, type CompileDocuments } from "./policy-service.ts";
import { readinessOf, type Readings } from "./readiness.ts";
import { createRequests } from "./requests.ts";
import { createLocks } from "./revocations/locks.ts";
import { createRevocations, type Revocations } from "./revocations/service.ts";
import type { Services } from "./services.ts";
import type { Breakers } from "./sweeper/breaker.ts";
import { createCalls } from "./sweeper/calls.ts";
import { createRecovery } from "./sweeper/recovery.ts";
import { createSweeper, type Sweeper } from "./sweeper/sweep.ts";
import type { IssuerRegistry } from "./targets/registry.ts";
import { TargetDuty } from "./targets/duty.ts";
import type { TargetWatch } from "./targets/watch.ts";
import { createTargets } from "./targets/service.ts";
import { createTasks } from "./tasks/service.ts";
import type { TaskSignatures } from "./tasks/signature.ts";
import { createTaskTokens } from "./tasks/token.ts";
import { createIntrospection, createTokens } from "./tokens.ts";
import { createVerifiers } from "./verifiers.ts";

/** What stands beneath the services, beside their parts. */
export interface Foundations {
  readonly acknowledged: Acknowledged;
  readonly keys: SigningKeys;
  readonly rotation: KeyRotation;
  /** Seals private keys and revocation handles anew under the first master key; how many were under another. */
  readonly reseal: (by: string) => Promise<number>;
  readonly audit: AuditTrail;
  readonly hold: Hold;
  readonly proofs: ProofService;
  readonly registry: IssuerRegistry;
  readonly taskSignatures: TaskSignatures;
  readonly watch: TargetWatch;
  readonly breakers: Breakers;
  readonly compile: CompileDocuments;
  readonly problems: () => readonly Problem[];
  readonly draining: () => boolean;
}

/** Everything that answers and everything that is done unasked. */
export interface Works {
  readonly services: Services;
  readonly operators: Operators;
  readonly unverified: Unverified;
  readonly sweeper: Sweeper;
  readonly duties: Duties;
  readonly feed: Feed;
}

/** Makes the services over their parts; nothing runs yet. */
export function composeServices(parts: Parts, foundations: Foundations): Works {
  const { audit, hold, keys, rotation } = foundations;
  const taskTokens = createTaskTokens({ url: parts.url, signatures: foundations.taskSignatures, clock: parts.now });
  const unverified = createUnverified(parts);
  const identify = createIdentify(parts, taskTokens, unverified);
  const revocations = createRevocations(parts, taskTokens);
  const operators = createOperators((operator, role, origin) => {
    parts.events.publish("operator.refused", { operator: operator.name, role });
    const facts = {
      action: "operator.refused" as const,
      principal: `operator:${operator.name}`,
      decision: "deny" as const,
      code: "insufficient_role",
      reason: role,
      route: origin.route,
      trace_id: origin.traceId,
    };
    parts.background.run("record a refused operator", () => parts.store.audit.append(0, facts));
  });
  const feed = createFeed(parts, foundations.acknowledged);
  const { breakers, registry, watch } = foundations;
  const calls = createCalls(parts, breakers);
  const recovery = createRecovery(parts, calls);
  watch.whenItAnswers((target) => recovery.tryOne(target));
  breakers.whenItRecovers((target) => recovery.tryAll(target));
  const sweeper = createSweeper(parts, calls, breakers);
  const health = { storeAnswers: true, signs: true };
  const introspection = createIntrospection(parts);
  const services: Services = {
    url: parts.url,
    requests: createRequests(parts, identify, taskTokens),
    tasks: createTasks(parts, identify, taskTokens),
    leases: createLeases(parts, taskTokens),
    introspection,
    actions: createActions(parts, introspection, unverified),
    tokens: createTokens(parts, taskTokens),
    revocations,
    locks: createLocks(parts),
    hold,
    keys: createKeys(
      parts,
      {
        list: () => keys.list(),
        jwks: () => keys.jwks(),
        announceNext: (order) => rotation.announceNext(order),
        activateNext: (order) => rotation.activateNext(order),
        withdraw: (kid, by, reason) => rotation.withdraw(kid, by, reason),
        reseal: foundations.reseal,
      },
      revocations,
    ),
    policy: createPolicyService(parts, identify, operators, foundations.compile),
    audit: { query: (filter, cursor, limit) => audit.query(filter, cursor, limit) },
    denials: createDenials(parts),
    events: parts.events,
    feed,
    operators,
    verifiers: createVerifiers(parts.policy),
    proofs: foundations.proofs,
    statusLists: parts.statusLists,
    targets: createTargets(parts, { registry, watch, breakers, calls, hold }),
    readiness: () => readinessOf(readingsOf(parts, foundations, health)),
  };
  return {
    services,
    operators,
    unverified,
    sweeper,
    feed,
    duties: dutiesOf(parts, foundations, { sweeper, unverified, revocations, feed }, health),
  };
}

interface Health {
  storeAnswers: boolean;
  signs: boolean;
}

function readingsOf({ store, onHold }: Parts, { audit, problems, draining }: Foundations, health: Health): Readings {
  return {
    storeAnswers: () => health.storeAnswers,
    facts: () => store.facts(),
    signs: () => health.signs,
    problems,
    auditHealthy: () => audit.healthy(),
    clockAgrees: () => store.clock.agreed(),
    clockOffsetMs: () => store.clock.offsetMs(),
    onHold,
    draining,
  };
}

function dutiesOf(
  parts: Parts,
  { keys, rotation, audit, hold, watch, registry }: Foundations,
  works: { readonly sweeper: Sweeper; readonly unverified: Unverified; readonly revocations: Revocations; readonly feed: Feed },
  health: Health,
): Duties {
  const targets = new TargetDuty(parts, watch, () => registry.targets());
  return createDuties(
    {
      sweep: async (signal) => {
        // waiting for the next tick would leave Redis idle while leases are due
        while ((await works.sweeper.sweep(signal)).cutShort) if (signal.aborted) return;
      },
      unverified: () => works.unverified.flush(),
      revocations: () => works.revocations.resume(),
      keys: async () => {
        await rotation.rotateDue();
        await noting(health, "signs", keys.current("ES256"));
      },
      audit: (signal) => audit.exportWaiting(signal),
      hold: () => hold.refresh(),
      witness: () => hold.examine(),
      targets: async () => targets.attend(),
      audiences: () => works.feed.notePolicies(parts.policy()),
      store: () => noting(health, "storeAnswers", parts.store.ping()),
    },
    parts.log,
    (duty) => parts.meter.dutyFailed(duty),
  );
}

/** Notes whether the work succeeded, and lets a failure through. */
async function noting(health: Health, what: keyof Health, work: Promise<unknown>): Promise<void> {
  try {
    await work;
    health[what] = true;
  } catch (error) {
    health[what] = false;
    throw error;
  }
}
