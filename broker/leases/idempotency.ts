import { hash } from "node:crypto";
import { keyName } from "../../domain/possession.ts";
import type { Idempotency } from "../../store/api.ts";
import type { IssueRequest } from "./plan.ts";

/**
 * An idempotency key as the store keeps it; undefined where none was sent. Its scope: subject, route (and what it is about, where its path names one), the evidence or the task, and the
 * key of the holder: no other's is signed again.
 */
export function scopedKey(
  asked: Pick<IssueRequest, "idempotency" | "principal" | "origin">,
  about: readonly string[] = [],
): Idempotency | undefined {
  const { idempotency, principal, origin } = asked;
  if (idempotency === undefined) return undefined;
  const within = principal.taskId ?? principal.evidence.hash;
  const bound = principal.evidence.key === undefined ? [] : [keyName(principal.evidence.key)];
  return {
    key: hash("sha256", [principal.subject, origin.route, ...about, within, idempotency.key, ...bound].join("\u0000"), "hex"),
    body: idempotency.bodySha256,
  };
}
