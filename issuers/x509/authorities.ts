import { generateKeyPairSync } from "node:crypto";
import { z } from "zod";
import { PermanentFailure, RetryableFailure } from "../../domain/credential.ts";
import { Secret } from "../../domain/secret.ts";
import type { OpenTarget, SecretReference, TargetPorts } from "../../domain/target.ts";
import { AuthorityRecord, makeAuthority, openAuthority, suppliedAuthority, type Authority } from "./authority.ts";
import type { X509Settings } from "./settings.ts";

/** The vault's name for them. */
const VAULT_NAME = "ca";
/** CAs that can be in use at once: what they signed lives a day at most, so more would mean a rotation every few hours. */
export const SLOTS = 4;
/** How old our copy of the vault may be. Far below `announce`, so that all brokers know a CA before any signs with it. */
const FRESH_MS = 10_000;
/** Nobody's certificate outlives its CA's turn by more: the longest lease, and an hour for clocks and brokers that lag. */
const LINGER_MS = 25 * 3_600_000;
const DEFAULTS = { validityMs: 3650 * 86_400_000, announceMs: 86_400_000 };
/** Brokers that write at once; each loses to at most every other one. */
const TRIES = 8;

const Stored = z.strictObject({ authorities: z.array(AuthorityRecord).max(SLOTS) });
type Stored = z.output<typeof Stored>;

/** What the vault holds, and which of it signs now: undefined, or a failure, when none may. */
interface Loaded {
  readonly stored: Stored;
  own(): AuthorityRecord | undefined;
}

/** The CAs of one Target, as the vault holds them for all brokers of a store. */
export interface Authorities {
  /** The one that signs now. */
  current(): Promise<Authority>;
  /** All whose certificates may be alive, and the one announced: what is to be trusted, and whose lists are to be signed. Oldest first. */
  alive(): Promise<readonly Authority[]>;
  /** Announces the next one. Nothing happens while one is announced already. */
  rotate(): Promise<void>;
}

/** Whose list is `crl-N`: fixed for the life of a CA, so that a certificate can name it. */
export const slotOf = ({ generation }: Pick<Authority, "generation">): number => ((generation - 1) % SLOTS) + 1;

export function openAuthorities(target: OpenTarget<X509Settings>, ports: TargetPorts): Authorities {
  const { ca } = target.settings;
  const opened = new Map<string, Authority>();
  let copy: { readonly at: number; readonly loaded: Promise<Loaded> } | undefined;

  const open = (record: AuthorityRecord): Authority => {
    const name = `${record.generation} ${record.certificates.join()}`;
    const known = opened.get(name) ?? openAuthority(record);
    opened.set(name, known);
    return known;
  };

  const read = async (): Promise<{ readonly raw: Secret | undefined; readonly stored: Stored }> => {
    const raw = await ports.vault.read(VAULT_NAME);
    return { raw, stored: raw === undefined ? { authorities: [] } : parseStored(raw) };
  };

  /** Adds what `next` makes of what there is; undefined: it has nothing to add. Another broker that was faster is asked again. */
  const add = async (next: (stored: Stored) => Promise<AuthorityRecord | undefined>): Promise<Stored> => {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const { raw, stored } = await read();
      const made = await next(stored);
      if (made === undefined) return stored;
      const kept = stored.authorities.filter((each) => isAlive(each, stored.authorities, ports.clock()));
      if (kept.length >= SLOTS)
        throw new RetryableFailure(`${SLOTS} CAs are in use until their last certificates have ended: rotate again in a day`);
      const after = { authorities: [...kept, made] };
      if (await ports.vault.swap(VAULT_NAME, raw, new Secret(JSON.stringify(after)))) {
        ports.warn({ target: target.name, generation: made.generation, activeAt: made.activeAt }, "a CA was added");
        return after;
      }
    }
    throw new RetryableFailure("other brokers keep changing the CA");
  };

  const made = async (stored: Stored, activeAt: number): Promise<AuthorityRecord> => ({
    ...(await makeAuthority(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey, {
      name: ca.name ?? `Stint ${target.name}`,
      owner: new URL(ports.broker).host,
      now: ports.clock(),
      validityMs: ca.validity ?? DEFAULTS.validityMs,
    })),
    generation: nextGeneration(stored),
    createdAt: ports.clock(),
    activeAt,
  });

  /** The supplied CA as a record; another than before takes its place at once, since verifiers trust what is above it. */
  const supplied = async (certificate: SecretReference, key: SecretReference): Promise<Loaded> => {
    const texts = await Promise.all([ports.secret(certificate), ports.secret(key)]);
    const files = suppliedAuthority(texts[0].reveal(), texts[1].reveal());
    const isThis = (each: AuthorityRecord): boolean => each.key === files.key && each.certificates.join() === files.certificates.join();
    const stored = await add(async (there) => {
      if (there.authorities.some(isThis)) return undefined;
      return { ...files, generation: nextGeneration(there), createdAt: ports.clock(), activeAt: ports.clock() };
    });
    return { stored, own: () => stored.authorities.find(isThis) };
  };

  const load = async (): Promise<Loaded> => {
    if (ca.certificate !== undefined && ca.key !== undefined) {
      try {
        return await supplied(ca.certificate, ca.key);
      } catch (error) {
        // nothing is signed by a CA whose files cannot be read, but the lists of those before go on
        return { stored: (await read()).stored, own: () => fail(error) };
      }
    }
    const stored = await add(async (there) => (there.authorities.length > 0 ? undefined : made(there, 0)));
    return { stored, own: () => stored.authorities.findLast(({ activeAt }) => activeAt <= ports.clock()) };
  };

  const fresh = (): Promise<Loaded> => {
    const now = ports.clock();
    if (copy !== undefined && Math.abs(now - copy.at) < FRESH_MS) return copy.loaded;
    const mine = { at: now, loaded: load() };
    copy = mine;
    mine.loaded.catch(() => {
      // a failure is nobody's copy
      if (copy === mine) copy = undefined;
    });
    return mine.loaded;
  };

  return {
    async current() {
      const now = ports.clock();
      const own = (await fresh()).own();
      if (own === undefined) throw new PermanentFailure("there is no CA that may sign now");
      const authority = open(own);
      if (authority.notAfter <= now)
        throw new PermanentFailure("the CA has ended: rotate it, and give its successor to those who check certificates");
      return authority;
    },
    async alive() {
      const now = ports.clock();
      const { authorities } = (await fresh()).stored;
      return authorities.filter((each) => isAlive(each, authorities, now)).map(open);
    },
    async rotate() {
      await add(async (stored) => {
        const newest = stored.authorities.at(-1);
        const now = ports.clock();
        if (newest === undefined) return made(stored, 0);
        return newest.activeAt > now ? undefined : made(stored, now + (ca.announce ?? DEFAULTS.announceMs));
      });
      copy = undefined;
    },
  };
}

/** Until the last certificate that it can have signed has ended: a successor's turn, and a day. */
function isAlive(record: AuthorityRecord, all: readonly AuthorityRecord[], now: number): boolean {
  const successor = all.find(({ generation }) => generation > record.generation);
  return successor === undefined || now < successor.activeAt + LINGER_MS;
}

const nextGeneration = ({ authorities }: Stored): number => (authorities.at(-1)?.generation ?? 0) + 1;

function parseStored(raw: Secret): Stored {
  const read = Stored.safeParse(JSON.parse(raw.reveal()));
  if (!read.success) throw new PermanentFailure("the CA in the store has a shape that this release does not know");
  return read.data;
}

function fail(error: unknown): never {
  throw error;
}
