import type { IssueOrder } from "../../domain/credential.ts";
import type { EvidenceUse, Principal } from "../../domain/principal.ts";
import { newId, subjectBits, type DenialId, type LeaseId, type TaskId } from "../../domain/ids.ts";
import type { Clock } from "../../domain/time.ts";
import type { DenialRecord, OpenOrder, OpenTaskOrder, StoreClock } from "../../store/api.ts";

let evidenceCount = 0;

/** Evidence that nobody has used yet. */
export function freshEvidence(now: number, maxUses: number | undefined = 1): EvidenceUse {
  evidenceCount += 1;
  return { hash: `evidence-${evidenceCount}`, expiresAt: now + 300_000, maxUses };
}

/** A verified caller, as attestation would describe it. */
export function principalOf(subject: string, evidence: EvidenceUse): Principal {
  return { trust: "github", subject, workload: `name-of/${subject}`, taskValue: undefined, claims: { sub: subject }, evidence };
}

export function denialOf(now: number, subject: string, code: DenialRecord["view"]["code"] = "not_permitted"): DenialRecord {
  const id: DenialId = newId("den", now, subjectBits(subject));
  return {
    id,
    at: now,
    view: { code, message: "refused" },
    principal: undefined,
    grant: "deploy",
    trace: undefined,
    route: "test",
    traceId: "0",
  };
}

/** An order to an issuer, as the broker would place it; override what the test is about. */
export function issueOrder<P>(clock: Clock, change: Partial<IssueOrder<P>> & Pick<IssueOrder<P>, "params">): IssueOrder<P> {
  const now = clock();
  const leaseId = newId("lease", now);
  return {
    leaseId,
    taskId: newId("task", now),
    jti: leaseId,
    subject: "github:456789",
    workload: "github/acme/shop",
    trust: "github",
    grant: "deploy-prod",
    purpose: undefined,
    scope: [],
    issuedAt: now,
    expiresAt: now + 600_000,
    options: {},
    ...change,
  };
}

/** An order for a computing issuer (`active`) that every check allows; override what the test is about. */
export function openOrder(clock: Clock, subject = "github:1", change: Partial<OpenOrder> = {}): OpenOrder {
  const now = clock();
  const leaseId: LeaseId = newId("lease", now, subjectBits(subject));
  return {
    leaseId,
    principal: principalOf(subject, freshEvidence(now)),
    grant: "deploy",
    issuer: "jwt",
    keyId: "key-1",
    state: "active",
    revocation: "expiry_only",
    ttlMs: 600_000,
    limitedBy: "grant",
    maxTtlMs: 1_800_000,
    task: { kind: "own" },
    implicitTaskTtlMs: 6 * 3_600_000,
    limits: { active: undefined, perHour: undefined },
    idempotency: undefined,
    replay: undefined,
    purpose: undefined,
    audit: { action: "lease.issued", principal: subject, decision: "allow", grant: "deploy" },
    denial: denialOf(now, subject),
    retentionMs: 604_800_000,
    ...change,
  };
}

export function taskOrder(clock: Clock, subject = "github:1", change: Partial<OpenTaskOrder> = {}): OpenTaskOrder {
  const now = clock();
  const taskId: TaskId = newId("task", now, subjectBits(subject));
  return {
    taskId,
    principal: principalOf(subject, freshEvidence(now)),
    ttlMs: 3_600_000,
    heartbeatMs: undefined,
    purpose: undefined,
    parent: undefined,
    implicit: undefined,
    idempotency: undefined,
    audit: { action: "task.opened", principal: subject },
    denial: denialOf(now, subject),
    retentionMs: 604_800_000,
    ...change,
  };
}

/** Time for a store, moved by the test. */
export const storeClock = (clock: Clock, agreed: () => boolean = () => true): StoreClock => ({ now: clock, agreed, offsetMs: () => 0 });
