import { hash } from "node:crypto";
import { StintError } from "../../domain/errors.ts";
import { isId, type TaskId } from "../../domain/ids.ts";
import { confirmationOf, keyOfConfirmation, type HolderKey } from "../../domain/possession.ts";
import type { Claims, Principal } from "../../domain/principal.ts";
import { Secret } from "../../domain/secret.ts";
import type { Task } from "../../domain/task.ts";
import { toSeconds, type Clock } from "../../domain/time.ts";

/** Claims of evidence that a task token carries on: at most this many bytes of JSON (CORE, Tasks). */
export const MAX_CARRIED_CLAIMS = 8 * 1024;
/** RFC 8725 section 3.11: a type of its own, so that no other token of ours can pass for it. */
export const TASK_TOKEN_TYP = "task+jwt";

/** Signs and checks compact JWS with the broker's own keys. Signature only: what the payload means is ours to check. */
export interface OwnSignatures {
  sign(typ: string, payload: Readonly<Record<string, unknown>>): Promise<string>;
  /** Undefined unless one of our published keys signed it. */
  verify(
    token: string,
  ): Promise<{ readonly typ: string; readonly kid: string; readonly payload: Readonly<Record<string, unknown>> } | undefined>;
}

/** Who holds a task token, and which task it speaks for. */
export interface TaskHolder {
  readonly taskId: TaskId;
  readonly parent: TaskId | undefined;
  readonly principal: Principal;
  /** The key that the token is bound to: holding it is not enough then. */
  readonly key: HolderKey | undefined;
  /** The end of the token, which is that of its task. */
  readonly expiresAt: number;
}

/** The key that a principal has proven, if any. */
interface Bound {
  readonly evidence?: Pick<Principal["evidence"], "key">;
}

export interface TaskTokens {
  /** The token of a task, carrying what was verified when it was opened or joined. */
  sign(task: Task, principal: Pick<Principal, "trust" | "subject" | "workload" | "claims"> & Bound): Promise<Secret>;
  /** The holder of a task token; undefined when it is none of ours, or over. */
  verify(token: Secret): Promise<TaskHolder | undefined>;
  /** The same, also after its end: for whoever reads a receipt late. */
  verifyEnded(token: Secret): Promise<TaskHolder | undefined>;
}

/** Throws `invalid_identity` for claims too big to carry; asked before anything is opened or spent. */
export function requireCarriable(claims: Claims): void {
  const bytes = Buffer.byteLength(JSON.stringify(claims));
  if (bytes <= MAX_CARRIED_CLAIMS) return;
  throw new StintError(
    "invalid_identity",
    `the claims of the identity token take ${bytes} bytes; a task token carries at most ${MAX_CARRIED_CLAIMS}`,
    {
      hint: "ask the identity provider for fewer claims",
    },
  );
}

/** Task tokens of the broker at `url` (`STINT_URL`): `iss` and `aud` alike, because only we accept them. */
export function createTaskTokens(parts: { readonly url: string; readonly signatures: OwnSignatures; readonly clock: Clock }): TaskTokens {
  const { url, signatures, clock } = parts;

  async function read(token: Secret): Promise<TaskHolder | undefined> {
    const compact = token.reveal();
    if (!looksLikeTaskToken(compact)) return undefined;
    const signed = await signatures.verify(compact);
    if (signed === undefined || signed.typ !== TASK_TOKEN_TYP) return undefined;
    return holderOf(signed.payload, url, compact);
  }

  return {
    async sign(task, principal) {
      const payload = {
        iss: url,
        aud: url,
        sub: principal.subject,
        iat: toSeconds(clock()),
        exp: toSeconds(task.expiresAt),
        task_id: task.id,
        ...(task.parent === undefined ? {} : { parent: task.parent }),
        trust: principal.trust,
        workload: principal.workload,
        claims: principal.claims,
        ...confirmationOf(principal.evidence?.key),
      };
      return new Secret(await signatures.sign(TASK_TOKEN_TYP, payload));
    },
    async verify(token) {
      const holder = await read(token);
      return holder !== undefined && holder.expiresAt > clock() ? holder : undefined;
    },
    verifyEnded: read,
  };
}

/** Whether the protected header says `typ: task+jwt`. A look, not a proof: it only chooses who checks the token. */
export function looksLikeTaskToken(token: string): boolean {
  const dot = token.indexOf(".");
  if (dot <= 0 || dot > 1024) return false;
  try {
    const header: unknown = JSON.parse(Buffer.from(token.slice(0, dot), "base64url").toString("utf8"));
    return typeof header === "object" && header !== null && "typ" in header && header.typ === TASK_TOKEN_TYP;
  } catch {
    return false;
  }
}

function holderOf(payload: Readonly<Record<string, unknown>>, url: string, compact: string): TaskHolder | undefined {
  const { iss, aud, sub, exp, task_id: taskId, parent, trust, workload, claims, cnf } = payload;
  if (iss !== url || aud !== url || typeof exp !== "number" || !Number.isSafeInteger(exp)) return undefined;
  if (typeof sub !== "string" || typeof trust !== "string" || typeof workload !== "string" || !isId("task", taskId)) return undefined;
  if (typeof claims !== "object" || claims === null || Array.isArray(claims)) return undefined;
  if (parent !== undefined && !isId("task", parent)) return undefined;
  const key = keyOfConfirmation(cnf);
  if (key === "unreadable") return undefined;
  const expiresAt = exp * 1000;
  const evidence = { hash: hash("sha256", compact, "base64url"), expiresAt, maxUses: undefined };
  const principal: Principal = { trust, subject: sub, workload, taskValue: undefined, claims: { ...claims }, evidence, taskId };
  return { taskId, parent, principal, key, expiresAt };
}
