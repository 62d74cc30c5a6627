import { generateKeyPairSync } from "node:crypto";
import { PermanentFailure } from "../../domain/credential.ts";
import type { OpenTarget, SecretReference, TargetPorts } from "../../domain/target.ts";
import { makeAuthority, openAuthority, suppliedAuthority, type Authority, type AuthorityRecord } from "./authority.ts";
import type { X509Settings } from "./settings.ts";
import { addAuthority, aliveOf, nextGeneration, type StoredAuthorities } from "./stored.ts";

/** How old our copy of the vault may be. Far below `announce`, so that all brokers know a CA before any signs with it. */
const FRESH_MS = 10_000;
const DEFAULTS = { validityMs: 3650 * 86_400_000, announceMs: 86_400_000 };

/** What the vault holds, and which of it signs now: undefined, or a failure, when none may. */
interface Loaded {
  readonly stored: StoredAuthorities;
  own(): AuthorityRecord | undefined;
}

/** The CAs of one Target, as the vault holds them for all brokers of a store. */
export class Authorities {
  readonly #target: OpenTarget<X509Settings>;
  readonly #ports: TargetPorts;
  /** Parsed once, by generation and certificate. */
  #opened = new Map<string, Promise<Authority>>();
  #copy: { readonly at: number; readonly loaded: Promise<Loaded> } | undefined;

  constructor(target: OpenTarget<X509Settings>, ports: TargetPorts) {
    this.#target = target;
    this.#ports = ports;
  }

  /** The one that signs now. */
  async current(): Promise<Authority> {
    const own = (await this.#fresh()).own();
    if (own === undefined) throw new PermanentFailure("there is no CA that may sign now");
    const authority = await this.#open(own);
    if (authority.notAfter <= this.#ports.clock())
      throw new PermanentFailure("the CA has ended: rotate it, and give its successor to those who check certificates");
    return authority;
  }

  /** All whose certificates may be alive, and the one announced: what is to be trusted, and whose lists are signed. Oldest first. */
  async alive(): Promise<readonly Authority[]> {
    const { stored } = await this.#fresh();
    return Promise.all(aliveOf(stored, this.#ports.clock()).map((each) => this.#open(each)));
  }

  /** Announces the next one. Nothing happens while one is announced already, so a crash between two tries costs nothing. */
  async rotate(): Promise<void> {
    const announceMs = this.#target.settings.ca.announce ?? DEFAULTS.announceMs;
    await addAuthority(this.#ports, async (stored) => {
      const newest = stored.at(-1);
      const now = this.#ports.clock();
      if (newest === undefined) return this.#make(stored, 0);
      return newest.activeAt > now ? undefined : this.#make(stored, now + announceMs);
    });
    this.#copy = undefined;
  }

  #fresh(): Promise<Loaded> {
    const now = this.#ports.clock();
    if (this.#copy !== undefined && Math.abs(now - this.#copy.at) < FRESH_MS) return this.#copy.loaded;
    const mine = { at: now, loaded: this.#load() };
    this.#copy = mine;
    mine.loaded.catch(() => {
      // a failure is nobody's copy
      if (this.#copy === mine) this.#copy = undefined;
    });
    return mine.loaded;
  }

  async #load(): Promise<Loaded> {
    const { certificate, key } = this.#target.settings.ca;
    if (certificate !== undefined && key !== undefined) {
      try {
        return await this.#supplied(certificate, key);
      } catch (error) {
        // nothing is signed by a CA whose files cannot be read, but the lists of those before go on
        return { stored: await addAuthority(this.#ports, async () => undefined), own: () => fail(error) };
      }
    }
    // the first signs at once, whatever another broker's clock says
    const stored = await addAuthority(this.#ports, async (there) => (there.length > 0 ? undefined : this.#make(there, 0)));
    return { stored, own: () => stored.findLast(({ activeAt }) => activeAt <= this.#ports.clock()) };
  }

  /** The supplied CA as a record; another than before takes its place at once, since verifiers trust what is above it. */
  async #supplied(certificate: SecretReference, key: SecretReference): Promise<Loaded> {
    const texts = await Promise.all([this.#ports.secret(certificate), this.#ports.secret(key)]);
    const files = await suppliedAuthority(texts[0].reveal(), texts[1].reveal());
    const isThis = (each: AuthorityRecord): boolean => each.key === files.key && each.certificates.join() === files.certificates.join();
    const stored = await addAuthority(this.#ports, async (there) => {
      if (there.some(isThis)) return undefined;
      return { ...files, generation: nextGeneration(there), createdAt: this.#ports.clock(), activeAt: this.#ports.clock() };
    });
    return { stored, own: () => stored.find(isThis) };
  }

  async #make(stored: StoredAuthorities, activeAt: number): Promise<AuthorityRecord> {
    const { ca } = this.#target.settings;
    const now = this.#ports.clock();
    const made = await makeAuthority(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey, {
      name: ca.name ?? `Stint ${this.#target.name}`,
      owner: new URL(this.#ports.broker).host,
      now,
      validityMs: ca.validity ?? DEFAULTS.validityMs,
    });
    return { ...made, generation: nextGeneration(stored), createdAt: now, activeAt };
  }

  #open(record: AuthorityRecord): Promise<Authority> {
    const name = `${record.generation} ${record.certificates.join()}`;
    const known = this.#opened.get(name) ?? openAuthority(record);
    this.#opened.set(name, known);
    known.catch(() => this.#opened.delete(name));
    return known;
  }
}

function fail(error: unknown): never {
  throw error;
}
