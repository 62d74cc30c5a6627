import { hash } from "node:crypto";
import { StintError } from "../../domain/errors.ts";
import { isId, type TaskId } from "../../domain/ids.ts";
import { confirmationOf, keyOfConfirmation, type HolderKey } from "../../domain/possession.ts";
import { claimsText, readFrom, type Claims, type Principal } from "../../domain/principal.ts";
import { Secret } from "../../domain/secret.ts";
import type { Task } from "../../domain/task.ts";
import { toSeconds, type Clock } from "../../domain/time.ts";
import { looksLikeTaskToken, type TaskSignatures } from "./signature.ts";

/** Claims of evidence that a task token carries on: at most this many bytes of JSON. */
export const MAX_CARRIED_CLAIMS = 8 * 1024;
/** Signs and checks compact JWS with the broker's own keys. Signature only: what the payload means is ours to check. */
export interface OwnSignatures {
  sign(typ: string, payload: Readonly<Record<string, unknown>>): Promise<string>;
  /** Undefined unless one of our published keys signed it. */
  verify(
    token: string,
  ): Promise<{ readonly typ: string; readonly kid: string; readonly payload: Readonly<Record<string, unknown>> } | undefined>;
  /** A token with this SHA-256 has just been signed here. */
  made(sha256: Buffer): void;
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
  if (Buffer.byteLength(claimsText(claims)) <= MAX_CARRIED_CLAIMS) return;
  // spaces between them need not be carried
  const text = JSON.stringify(claims);
  readFrom(claims, text);
  const bytes = Buffer.byteLength(text);
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
export function createTaskTokens(parts: { readonly url: string; readonly signatures: TaskSignatures; readonly clock: Clock }): TaskTokens {
  const { url, signatures, clock } = parts;

  async function read(token: Secret): Promise<TaskHolder | undefined> {
    const compact = token.reveal();
    if (!looksLikeTaskToken(compact)) return undefined;
    const said = await signatures.verify(compact);
    return said === undefined ? undefined : holderOf(said, url, compact);
  }

  return {
    async sign(task, principal) {
      const said = JSON.stringify({
        iss: url,
        aud: url,
        sub: principal.subject,
        iat: toSeconds(clock()),
        exp: toSeconds(task.expiresAt),
        task_id: task.id,
        ...(task.parent === undefined ? {} : { parent: task.parent }),
        trust: principal.trust,
        workload: principal.workload,
        ...confirmationOf(principal.evidence?.key),
      });
      return new Secret(await signatures.sign(`${said.slice(0, -1)},"claims":${claimsText(principal.claims)}}`));
    },
    async verify(token) {
      const holder = await read(token);
      return holder !== undefined && holder.expiresAt > clock() ? holder : undefined;
    },
    verifyEnded: read,
  };
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
