import { hash } from "node:crypto";
import type { AuditFacts } from "../domain/audit-event.ts";
import { keyName } from "../domain/possession.ts";
import type { EvidenceUse } from "../domain/principal.ts";
import { SKEW_MS } from "../domain/time.ts";
import type { DenialRecord, Idempotency, Refused, StoreRefusal } from "./api.ts";
import { bare } from "./keyspace.ts";

/** Names an implicit task: the same subject, trust and rendered template, whatever characters they hold. */
export const valueHash = (subject: string, trust: string, value: string): string =>
  hash("sha256", JSON.stringify([subject, trust, value]), "base64url").slice(0, 22);

interface EvidenceArgs {
  readonly evidence: string;
  readonly evidence_max: number;
  readonly evidence_ttl: number;
  readonly evidence_key: string;
  readonly proof: string;
  readonly proof_ttl: number;
}

/** How often evidence may still be used, and how long that must be remembered: until it can no longer pass attestation. And what was proven with it. */
export function evidenceArgs(evidence: EvidenceUse | undefined, now: number): EvidenceArgs {
  if (evidence === undefined) return { evidence: "", evidence_max: 0, evidence_ttl: 0, evidence_key: "", proof: "", proof_ttl: 0 };
  const { hash: name, expiresAt, maxUses, key, proof } = evidence;
  return {
    // 132 bits of a hash name the evidence, and a proof; they are only ever compared with themselves.
    evidence: name.slice(0, 22),
    evidence_max: maxUses ?? 0,
    evidence_ttl: Math.max(1000, Math.ceil(expiresAt + 2 * SKEW_MS - now)),
    evidence_key: key === undefined ? "" : keyName(key),
    proof: proof?.id.slice(0, 22) ?? "",
    proof_ttl: proof?.keepMs ?? 0,
  };
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
