import { z } from "zod";
import { PermanentFailure, RetryableFailure } from "../../domain/credential.ts";
import type { TargetPorts } from "../../domain/target.ts";
import { changeKeptCa } from "../kept-ca.ts";
import { AuthorityRecord } from "./authority.ts";

/** CAs that can be in use at once: what they signed lives a day at most, so more would mean a rotation every few hours. */
export const SLOTS = 4;
/** Nobody's certificate outlives its CA's turn by more: the longest lease, and an hour for clocks and brokers that lag. */
const LINGER_MS = 25 * 3_600_000;

const Stored = z.strictObject({ authorities: z.array(AuthorityRecord).max(SLOTS) });

/** Oldest first. */
export type StoredAuthorities = readonly AuthorityRecord[];

/** Whose list is `crl-N`: fixed for the life of a CA, so that a certificate can name it. */
export const slotOf = ({ generation }: Pick<AuthorityRecord, "generation">): number => ((generation - 1) % SLOTS) + 1;

export const nextGeneration = (authorities: StoredAuthorities): number => (authorities.at(-1)?.generation ?? 0) + 1;

/** Those whose certificates may be alive: until a successor's turn came, and a day more. */
export const aliveOf = (authorities: StoredAuthorities, now: number): StoredAuthorities =>
  authorities.filter(({ generation }) => {
    const successor = authorities.find((other) => other.generation > generation);
    return successor === undefined || now < successor.activeAt + LINGER_MS;
  });

/**
 * Adds the CA that `next` makes of those there are (undefined: none is needed) and drops those that nobody needs. A broker that was
 * faster is heard: `next` is asked again. Answers what the vault then holds.
 */
export async function addAuthority(
  { vault, clock, warn }: Pick<TargetPorts, "vault" | "clock" | "warn">,
  next: (authorities: StoredAuthorities) => Promise<AuthorityRecord | undefined>,
): Promise<StoredAuthorities> {
  const { authorities, made } = await changeKeptCa(vault, async (held) => {
    const before = parse(held);
    const added = await next(before);
    if (added === undefined) return { text: held, authorities: before, made: undefined };
    const kept = aliveOf(before, clock());
    if (kept.length >= SLOTS)
      throw new RetryableFailure(`${SLOTS} CAs are in use until their last certificates have ended: change it again in a day`);
    const after = [...kept, added];
    return { text: JSON.stringify({ authorities: after }), authorities: after, made: added };
  });
  if (made !== undefined)
    warn({ generation: made.generation, activeAt: made.activeAt }, "a CA was added: those who check certificates must fetch ca.pem anew");
  return authorities;
}

function parse(held: string | undefined): StoredAuthorities {
  if (held === undefined) return [];
  try {
    return Stored.parse(JSON.parse(held)).authorities;
  } catch {
    // its words would be the key's
    throw new PermanentFailure("the CA in the store has a shape that this release does not know");
  }
}
