import type { Lease } from "../../domain/lease.ts";
import { keyName, type HolderKey } from "../../domain/possession.ts";
import type { GrantRequest } from "../callers.ts";
import type { Grant } from "../policy/policy.ts";

/** What of a request a renewal is decided on again. */
export type Terms = Pick<GrantRequest, "scope" | "purpose" | "resource" | "environment">;

/** Terms as they were kept, with the name of the key that the lease's credential is bound to. */
export type KeptTerms = Terms & { readonly key: string | undefined };

const MAX_TERMS_BYTES = 2048;

/**
 * Only what differs from the grant's defaults, so that an ordinary lease carries nothing; `at` is the place at which its credential is
 * made, where there is one. Undefined when nothing differs.
 */
export function termsOf(request: Terms, granted: readonly string[], grant: Grant, key?: HolderKey, at?: string): string | undefined {
  const whole = granted.length === grant.issue.scope.length && granted.every((scope) => grant.issue.scope.includes(scope));
  const terms = {
    ...(whole ? {} : { s: granted }),
    ...(request.purpose === "" ? {} : { p: request.purpose }),
    ...(request.resource === "" ? {} : { r: request.resource }),
    ...(request.environment === "" ? {} : { e: request.environment }),
    ...(key === undefined ? {} : { k: keyName(key) }),
    ...(at === undefined ? {} : { a: at }),
  };
  if (Object.keys(terms).length === 0) return undefined;
  return JSON.stringify(terms);
}

/** True when the terms are too long to keep; such a request is refused before anything is opened. */
export const termsTooLong = (terms: string | undefined): boolean => terms !== undefined && Buffer.byteLength(terms) > MAX_TERMS_BYTES;

/**
 * The terms a lease was issued on. Scope that has left the grant since is not asked for again, scope that joined it is not added.
 * Undefined for what cannot be read: such a lease is not renewed.
 */
export function termsFrom(lease: Lease, grant: Grant | undefined): KeptTerms | undefined {
  if (lease.terms === undefined || lease.terms === "")
    return { scope: grant?.issue.scope ?? [], purpose: "", resource: "", environment: "", key: undefined };
  const read = readTerms(lease.terms);
  if (read === undefined) return undefined;
  const { s, p, r, e, k } = read;
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  const scope = Array.isArray(s) ? s.filter((item) => typeof item === "string") : (grant?.issue.scope ?? []);
  return { scope, purpose: text(p), resource: text(r), environment: text(e), key: text(k) || undefined };
}

/** The place at which a lease's credential was made, as `placeOf` names it; undefined where there is none, or none was noted. */
export function madeAt({ terms }: Pick<Lease, "terms">): string | undefined {
  const at = terms === undefined || terms === "" ? undefined : readTerms(terms)?.["a"];
  return typeof at === "string" ? at : undefined;
}

function readTerms(terms: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const read: unknown = JSON.parse(terms);
    return typeof read === "object" && read !== null ? (read as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}
