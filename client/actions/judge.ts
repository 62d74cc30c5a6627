import { decideAction } from "../../actions/decide.ts";
import { meet } from "../../actions/match.ts";
import { readPath } from "../../actions/path.ts";
import type { Original } from "../../actions/proxies.ts";
import type { Asked, Routes } from "../../actions/routes.ts";
import { newId, subjectBits, type DenialId, type EventId } from "../../domain/ids.ts";
import type { Claims } from "../../domain/principal.ts";

/** A request and the claims of its token, which has been verified. */
export interface Case {
  readonly routes: Routes;
  readonly token: Claims & { readonly sub: string; readonly lease_id: string };
  readonly original: Original;
  readonly context: Readonly<Record<string, unknown>>;
  /** Milliseconds. */
  readonly now: number;
}

export type Judgement =
  | {
      readonly allowed: true;
      readonly decisionId: EventId;
      /** Method and pattern of the route, for use reports. */ readonly route: string;
    }
  | {
      readonly allowed: false;
      readonly denialId: DenialId;
      readonly code: string;
      readonly message: string;
      /** With `insufficient_scope`: all that is needed. */
      readonly scope?: readonly string[];
      /** The reasoning, for the log of whoever decides: nobody else has it. */
      readonly reasons: Readonly<Record<string, unknown>>;
    };

/** Decides here what the broker would decide at /v1/authorize. A denial's id stands in this process's log and nowhere else. */
export function judge({ routes, token, original, context, now }: Case): Judgement {
  const id = <K extends "den" | "evt">(kind: K) => newId(kind, now, subjectBits(token.sub));
  const about = { subject: token.sub, lease_id: token.lease_id, method: original.method };
  const read = readPath(original.target);
  if ("fault" in read) {
    const denialId = id("den");
    const code = "ambiguous_request";
    return { allowed: false, denialId, code, message: read.fault, reasons: { denial_id: denialId, code, reason: read.fault, ...about } };
  }
  const asked: Asked = { token, method: original.method, path: read.path, host: original.host, ip: original.ip, context, now };
  const decision = decideAction(routes, asked);
  if (decision.allowed)
    return { allowed: true, decisionId: id("evt"), route: `${original.method} ${meet(routes, asked).route?.pattern ?? ""}` };
  const { view, rule, scope } = decision;
  const denialId = id("den");
  const reasons = { denial_id: denialId, code: view.code, rule, policy: routes.policy, nearest: decision.trace().nearest, ...about };
  return { allowed: false, denialId, code: view.code, message: view.message, ...(scope === undefined ? {} : { scope }), reasons };
}
