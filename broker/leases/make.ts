import { atTarget } from "../telemetry/metered.ts";
import { hash } from "node:crypto";
import { RetryableFailure, type IssueOrder, type Issued, type Issuer } from "../../domain/credential.ts";
import { StintError } from "../../domain/errors.ts";
import type { Lease, LimitedBy } from "../../domain/lease.ts";
import type { Task } from "../../domain/task.ts";
import { describe } from "../background.ts";
import type { Parts } from "../parts.ts";
import type { IssuedCredential } from "./api.ts";
import { endNow } from "./end.ts";
import { blamesTarget } from "../sweeper/breaker.ts";
import type { TargetCall } from "../targets/door.ts";
import type { Plan } from "./plan.ts";

/** The store gives a pending lease 30 s; an issuer must be done before. */
export const ISSUE_DEADLINE_MS = 25_000;
/** When to come again after a target that did not say. */
const RETRY_SECONDS = 5;
/** An issuer that only computes calls nobody it could wait for; a timer for each request would outlive it by half a minute. */
const NO_DEADLINE = new AbortController().signal;

/** The order that an issuer is given for a lease as the store recorded it. */
export function issueOrder(lease: Lease, plan: Plan, task: Task): IssueOrder<unknown> {
  return {
    leaseId: lease.id,
    taskId: task.id,
    jti: lease.id,
    subject: lease.subject,
    workload: lease.workload,
    trust: lease.trust,
    grant: lease.grant,
    purpose: plan.asked.request.purpose === "" ? undefined : plan.asked.request.purpose,
    scope: plan.verdict.scope,
    issuedAt: lease.openedAt,
    expiresAt: lease.expiresAt,
    key: plan.asked.principal.evidence.key,
    params: plan.params,
    options: plan.options,
  };
}

/** Where the status of the lease's token that ends then can be read, if it was given a place. */
export const statusOf = (parts: Pick<Parts, "statusLists">, lease: Lease, expiresAt: number): Promise<IssueOrder<unknown>["status"]> =>
  parts.statusLists.reference(lease, expiresAt);

/** A signature: the lease is active already. Should signing fail, nobody got anything and the lease ends. */
export async function makeHere(parts: Parts, plan: Plan, lease: Lease, task: Task, limitedBy: LimitedBy): Promise<IssuedCredential> {
  let made: Issued;
  try {
    const order = issueOrder(lease, plan, task);
    const status = lease.status === undefined ? undefined : await statusOf(parts, lease, lease.expiresAt);
    made = await plan.issuer.issue(status === undefined ? order : { ...order, status }, NO_DEADLINE);
  } catch (error) {
    noteFailure(parts, lease, error);
    await abandon(parts, lease);
    throw issuerFailed(lease, error);
  }
  noteCredential(parts, lease, made);
  return answer(plan, lease, task, limitedBy, made, false);
}

/** An effect outside: pending is recorded, the credential made, its handle sealed, the lease activated; only then is it answered. */
export async function makeOutside(
  parts: Parts,
  plan: Plan,
  lease: Lease,
  task: Task,
  limitedBy: LimitedBy,
  call: TargetCall,
): Promise<IssuedCredential> {
  let made: Issued | undefined;
  try {
    const order = issueOrder(lease, plan, task);
    const work = (): Promise<Issued> => plan.issuer.issue(order, AbortSignal.timeout(ISSUE_DEADLINE_MS));
    made = await askTarget(call, () => atTarget(parts.meter, lease.issuer, "make", work));
    const handle = made.handle === undefined ? undefined : parts.sealer.seal(lease.id, made.handle);
    const activated = await parts.store.leases.activate(lease.id, { handle, externalName: plan.issuer.externalName?.(lease.id) });
    if (activated === "already_ended")
      throw new StintError("task_ended", "the task or the lease ended while the credential was made; it was revoked");
  } catch (error) {
    if (!(error instanceof StintError)) noteFailure(parts, lease, error);
    await undo(parts, plan.issuer, lease, made);
    throw error instanceof StintError ? error : issuerFailed(lease, error);
  }
  noteCredential(parts, lease, made);
  return answer(plan, { ...lease, state: "active" }, task, limitedBy, made, false);
}

/** What the target refuses for its asker's sake, or until a person acts, says nothing against the target. */
export async function askTarget<T>(call: TargetCall, work: () => Promise<T>): Promise<T> {
  try {
    const done = await work();
    call.succeeded();
    return done;
  } catch (error) {
    if (blamesTarget(error)) call.failed(error);
    else if (error instanceof StintError) call.succeeded();
    throw error;
  }
}

/** Revokes what may have been made, then gives the lease up. If either fails the lease is due anyway, and the sweeper finishes. */
async function undo(parts: Parts, issuer: Issuer, lease: Lease, made: Issued | undefined): Promise<void> {
  try {
    await issuer.revoke({ leaseId: lease.id, handle: made?.handle, expiresAt: lease.expiresAt }, AbortSignal.timeout(ISSUE_DEADLINE_MS));
  } catch (error) {
    parts.log.warn(
      { leaseId: lease.id, issuer: issuer.kind, error: describe(error) },
      "a credential that was not handed out could not be revoked at once",
    );
  }
  await abandon(parts, lease);
}

async function abandon(parts: Parts, lease: Lease): Promise<void> {
  try {
    const ended = await parts.store.leases.end(lease.id, "issue_failed", {
      action: "lease.ended",
      principal: "broker",
      subject: lease.subject,
      grant: lease.grant,
      issuer: lease.issuer,
    });
    if (ended?.state === "revoking") await endNow(parts, lease.id);
  } catch (error) {
    parts.log.warn({ leaseId: lease.id, error: describe(error) }, "a lease that failed stays due");
  }
}

/** Why, for those who can mend it: the asker is only told that the target has trouble. */
export function noteFailure({ log }: Pick<Parts, "log">, lease: Lease, error: unknown): void {
  const said = describe(error).split("\n")[0] ?? "failed";
  log.warn({ leaseId: lease.id, issuer: lease.issuer, grant: lease.grant, error: said }, "a credential could not be made");
}

/** What the asker is told of a target's trouble: that there is some, and when to come again. */
export function issuerFailed(lease: Lease, error: unknown, what = "make the credential; nothing was handed out"): StintError {
  return new StintError(
    "issuer_unavailable",
    `the issuer ${lease.issuer} could not ${what}`,
    { retryAfterSeconds: retryAfterSeconds(error), leaseId: lease.id },
    { cause: error },
  );
}

/** As the target said, an hour at most; else soon. */
function retryAfterSeconds(error: unknown): number {
  const asked = error instanceof RetryableFailure ? error.retryAfterMs : undefined;
  return asked === undefined ? RETRY_SECONDS : Math.min(3600, Math.max(1, Math.ceil(asked / 1000)));
}

/** So that whoever finds a leaked credential can name its lease. The answer does not wait; a drain does. */
export function noteCredential(parts: Pick<Parts, "store" | "background" | "signatures">, lease: Lease, made: Issued): void {
  const sha256 = hash("sha256", made.credential.token.reveal(), "buffer");
  if (made.credential.type === "jwt") parts.signatures.made(sha256);
  parts.background.run("note credential", () => parts.store.leases.noteCredential(lease.id, sha256.toString("hex"), lease.expiresAt));
}

/** What the caller is told. */
export function answer(plan: Plan, lease: Lease, task: Task, limitedBy: LimitedBy, made: Issued, wasReplayed: boolean): IssuedCredential {
  return {
    lease,
    task,
    grant: lease.grant,
    issuer: lease.issuer,
    credential: made.credential,
    boundTo: made.boundTo,
    scope: plan.verdict.scope,
    expiresAt: lease.expiresAt,
    limitedBy,
    revocation: lease.revocation,
    deadBy: lease.expiresAt,
    replayed: wasReplayed,
  };
}
