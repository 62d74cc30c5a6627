import { StintError } from "../../domain/errors.ts";
import type { RevokedSerials } from "../../domain/target.ts";
import { SKEW_MS, toSeconds, type Clock } from "../../domain/time.ts";
import type { Authorities } from "./authorities.ts";
import type { Authority } from "./authority.ts";
import { Entries, revocationList } from "./crl.ts";
import { slotOf } from "./stored.ts";

/** What was revoked is read at most this often, however many ask: the list is for everybody. */
export const READ_EVERY_MS = 1000;

/** The revocation lists of one Target's CAs, signed when they change and before they grow old. */
export interface Lists {
  /** The list of the CA that signs now; DER. */
  current(): Promise<Uint8Array>;
  /** The list of the CA in this slot; DER. `not_found` where there is none. */
  inSlot(slot: number): Promise<Uint8Array>;
  /** One of every CA; DER. */
  all(): Promise<readonly Uint8Array[]>;
  /** What was read of the revoked is old: something was added here. */
  forget(): void;
}

interface Revoked {
  readonly number: number;
  /** In DER, written when a list needs them, for the lists of all CAs at once. */
  readonly written: () => Promise<readonly Buffer[]>;
}
interface Signed {
  readonly number: number;
  readonly signedAt: number;
  readonly der: Promise<Uint8Array>;
}

export function openLists(authorities: Authorities, revoked: RevokedSerials, clock: Clock, validMs: number): Lists {
  const signed = new Map<Authority, Signed>();
  const entries = new Entries();
  let copy: { readonly at: number; readonly revoked: Promise<Revoked> } | undefined;

  const readAll = async (): Promise<Revoked> => {
    const all = await revoked.all();
    let written: Promise<readonly Buffer[]> | undefined;
    return { number: all.number, written: () => (written ??= entries.of(all.entries)) };
  };

  const read = (): Promise<Revoked> => {
    const now = clock();
    if (copy !== undefined && Math.abs(now - copy.at) < READ_EVERY_MS) return copy.revoked;
    const mine = { at: now, revoked: readAll() };
    copy = mine;
    mine.revoked.catch(() => {
      if (copy === mine) copy = undefined;
    });
    return mine.revoked;
  };

  /** Signed again when something changed or half of its life is over; the same bytes for all who ask between. */
  const listOf = async (authority: Authority): Promise<Uint8Array> => {
    const { number, written } = await read();
    const now = clock();
    const last = signed.get(authority);
    const isFresh = last !== undefined && now >= last.signedAt && now - last.signedAt < validMs / 2;
    // a reader that was held up must not sign an older list over a newer one
    if (isFresh && last.number >= number) return last.der;
    const times = { thisUpdate: now - SKEW_MS, nextUpdate: now + validMs };
    const der = written().then((each) => revocationList(authority, { number: numberOf(number, now), ...times, entries: each }));
    const mine = { number, signedAt: now, der };
    signed.set(authority, mine);
    der.catch(() => {
      if (signed.get(authority) === mine) signed.delete(authority);
    });
    return der;
  };

  const alive = async (): Promise<readonly Authority[]> => {
    const them = await authorities.alive();
    for (const each of signed.keys()) if (!them.includes(each)) signed.delete(each);
    return them;
  };

  return {
    async current() {
      const now = clock();
      const them = await alive();
      const signing = them.findLast(({ activeAt }) => activeAt <= now) ?? them.at(-1);
      if (signing === undefined) throw new StintError("not_found", "there is no CA yet whose certificates could be revoked");
      return listOf(signing);
    },
    async inSlot(slot) {
      const authority = (await alive()).find((each) => slotOf(each) === slot);
      if (authority === undefined) throw new StintError("not_found", "no CA in use has a list of this name");
      return listOf(authority);
    },
    all: async () => Promise.all((await alive()).map(listOf)),
    forget: () => (copy = undefined),
  };
}

/** Grows with every change, and with every signing between two changes (RFC 5280 section 5.2.3); at most 13 bytes. */
const numberOf = (changes: number, at: number): bigint => (BigInt(changes) << 40n) | BigInt(toSeconds(at));
