import { PermanentFailure, type Issuer } from "../../domain/credential.ts";
import type { Lease } from "../../domain/lease.ts";
import { madeAt } from "../leases/terms.ts";

/** Where an issuer's credentials are: its kind and its address. Undefined where it only computes, so that there is nothing to find. */
export function placeOf({ kind, place, computesOnly }: Pick<Issuer, "kind" | "place" | "computesOnly">): string | undefined {
  if (computesOnly) return undefined;
  return place === undefined ? kind : `${kind} ${place}`;
}

/** Whether a lease's credential is where this issuer makes them now. Leases that do not say are taken to be. */
export function isAt(lease: Pick<Lease, "terms">, issuer: Issuer): boolean {
  const at = madeAt(lease);
  return at === undefined || at === placeOf(issuer);
}

/** The issuers in force by name, and those at places that targets led to before. */
interface Known {
  readonly issuers: ReadonlyMap<string, Issuer>;
  before(name: string, place: string): Issuer | undefined;
}

/** Who can end a lease. */
export interface Ender {
  readonly issuer: Issuer;
  /** The target leads elsewhere by now, and nobody knows the way back: what it does not find proves nothing. This is what to say then. */
  readonly doubt?: string;
}

/**
 * The issuer that made a lease's credential, or another at the very same place. A place that a target no longer leads to is known until
 * the process ends; after that only the target as it is now can be asked, and only if its word can be told from ignorance. Throws
 * `PermanentFailure` where there is nobody to ask: to believe another server that it has nothing would leave the credential alive.
 */
export function enderOf(known: Known, lease: Pick<Lease, "issuer" | "terms">, hasHandle: boolean): Ender {
  const name = lease.issuer;
  const issuer = known.issuers.get(name);
  if (issuer !== undefined && isAt(lease, issuer)) return { issuer };
  const at = madeAt(lease);
  const before = at === undefined ? undefined : known.before(name, at);
  if (before !== undefined) return { issuer: before };
  const cure = "until this lease has ended, or end it there by hand and force the lease closed";
  if (issuer === undefined)
    throw new PermanentFailure(`no issuer called ${name} is configured${at === undefined ? "" : ` (${at})`}: put it back ${cure}`);
  const doubt = `it was made at ${at ?? "another place"}, and ${name} leads to ${placeOf(issuer) ?? issuer.kind} now: let it lead back ${cure}`;
  // a handle may be the credential itself: it is shown to nobody but who gave it
  if (hasHandle || issuer.knowsWhatItEnds !== true || at?.split(" ")[0] !== issuer.kind) throw new PermanentFailure(doubt);
  return { issuer, doubt };
}
