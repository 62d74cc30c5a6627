import { hash } from "node:crypto";
import type { AuditFacts } from "../domain/audit-event.ts";
import type { EvidenceUse } from "../domain/principal.ts";
import { SKEW_MS } from "../domain/time.ts";
import type { DenialRecord, Idempotency, Refused, StoreRefusal } from "./api.ts";
import { bare } from "./keyspace.ts";

/** Names an implicit task: the same subject, trust and rendered template, whatever characters they hold. */
export const valueHash = (subject: string, trust: string, value: string): string =>
  hash("sha256", JSON.stringify([subject, trust, value]), "hex").slice(0, 32);

/** How often evidence may still be used, and how long that must be remembered: until it can no longer pass attestation. */
export function evidenceArgs(
  evidence: EvidenceUse | undefined,
  now: number,
): { evidence: string; evidence_max: number; evidence_ttl: number } {
  if (evidence === undefined) return { evidence: "", evidence_max: 0, evidence_ttl: 0 };
  const life = Math.max(1000, Math.ceil(evidence.expiresAt + 2 * SKEW_MS - now));
  // 132 bits of the hash name the evidence; it is only ever compared with itself.
  return { evidence: evidence.hash.slice(0, 22), evidence_max: evidence.maxUses ?? 0, evidence_ttl: life };
}

/** What a script needs to refuse by itself. */
export function denialArgs(
  denial: DenialRecord,
  audit: AuditFacts,
  retention: number,
): { denial: string; denial_body: string; denied: string; retention: number } {
  const denied: AuditFacts = { ...audit, action: "request.denied", decision: "deny", denial: denial.id };
  return { denial: bare(denial.id), denial_body: JSON.stringify(denial), denied: JSON.stringify(denied), retention };
}

export const idempotencyArgs = (idempotency: Idempotency | undefined): { idem: string; idem_body: string } => ({
  idem: idempotency?.key ?? "",
  idem_body: idempotency?.body ?? "",
});

/** `["refused", code, message, milliseconds, text]` as scripts say it. */
export function refused(reply: readonly string[]): Refused {
  const [, code, message = "", number = "0", text = ""] = reply;
  const wait = Number(number);
  return {
    outcome: "refused",
    code: code as StoreRefusal,
    ...(message === "" ? {} : { message }),
    ...(wait > 0 ? { retryAfterMs: wait } : {}),
    ...(code === "limit_active" ? { live: Number(text) } : text === "" || code === "task_ended" ? {} : { leaseId: `lease_${text}` }),
  };
}
