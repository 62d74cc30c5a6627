import { hash } from "node:crypto";
import { isId, type LeaseId, type TaskId } from "../../domain/ids.ts";
import type { Secret } from "../../domain/secret.ts";
import type { Parts } from "../parts.ts";

/** A token of ours whose signature, issuer and type hold. Whether its lease lives is the store's to say. */
export interface OwnToken {
  readonly leaseId: LeaseId;
  readonly taskId: TaskId;
  readonly isAccessToken: boolean;
  readonly kid: string;
  readonly audiences: readonly string[];
  readonly expiresAt: number;
  readonly claims: Readonly<Record<string, unknown>>;
}

/**
 * RFC 9068: what we issue says so in its type, so that no other token of ours passes for a credential. `JWT` are those for relying
 * parties of another kind: they can be asked about and given back, and `isAccessToken` tells them apart.
 */
const ACCESS_TOKEN_TYP = "at+jwt";
const FEDERATION_TYP = "JWT";

/** Reads a token that we issued, live or expired; undefined for anything else. */
export async function readOwnToken(parts: Pick<Parts, "signatures" | "url">, token: Secret): Promise<OwnToken | undefined> {
  const signed = await parts.signatures.verify(token.reveal());
  if (signed === undefined || (signed.typ !== ACCESS_TOKEN_TYP && signed.typ !== FEDERATION_TYP)) return undefined;
  const { iss, exp, aud, lease_id: leaseId, task_id: taskId } = signed.payload;
  if (iss !== parts.url || typeof exp !== "number" || !isId("lease", leaseId) || !isId("task", taskId)) return undefined;
  const audiences = (Array.isArray(aud) ? aud : [aud]).filter((item) => typeof item === "string");
  return {
    leaseId,
    taskId,
    isAccessToken: signed.typ === ACCESS_TOKEN_TYP,
    kid: signed.kid,
    audiences,
    expiresAt: exp * 1000,
    claims: signed.payload,
  };
}

/** The lease a credential of any kind belongs to: by its own word if we signed it, else by its SHA-256. */
export async function leaseIdOfCredential(
  parts: Pick<Parts, "signatures" | "url" | "store">,
  credential: Secret,
): Promise<LeaseId | undefined> {
  const own = await readOwnToken(parts, credential);
  if (own !== undefined) return own.leaseId;
  return leaseIdOfHash(parts, hash("sha256", credential.reveal(), "hex"));
}

/** The lease whose credential has this SHA-256 (hex). */
export async function leaseIdOfHash(parts: Pick<Parts, "store">, credentialSha256: string): Promise<LeaseId | undefined> {
  const page = await parts.store.leases.list({ credentialSha256 }, undefined, 1);
  return page.items[0]?.id;
}
