import { z } from "zod";
import { PermanentFailure, RetryableFailure } from "../../domain/credential.ts";
import { Secret } from "../../domain/secret.ts";
import type { TargetPorts } from "../../domain/target.ts";
import { newPassword } from "./scram.ts";
import type { PostgresSettings } from "./settings.ts";

/** Under this name the vault holds the passwords that we gave our own role. */
const VAULT_NAME = "password";
/** A password that was tried to be set this long ago was either set, or never will be. */
const SETTLED_MS = 10 * 60_000;

const Held = z.strictObject({
  current: z.string().optional(),
  changedAt: z.int().optional(),
  /** Passwords that may have been set: a crash lies between writing one down and knowing. Youngest first. */
  pending: z.array(z.strictObject({ password: z.string(), at: z.int() })).max(8),
});
type Held = z.output<typeof Held>;

/** What our own role at a target may have as its password, and how it gets a new one. */
export class Account {
  readonly #ports: Pick<TargetPorts, "vault" | "secret" | "clock">;
  readonly #settings: PostgresSettings;
  #worked: string | undefined;

  constructor(settings: PostgresSettings, ports: Pick<TargetPorts, "vault" | "secret" | "clock">) {
    this.#ports = ports;
    this.#settings = settings;
  }

  /** Passwords to try, the likeliest first; undefined: the server is asked without one, as it may allow on a unix socket. */
  async candidates(): Promise<readonly (string | undefined)[]> {
    const { held } = await this.#read();
    const given = this.#settings.password === undefined ? undefined : await this.#given(held);
    const known = [this.#worked, held.current, ...held.pending.map(({ password }) => password), given];
    const passwords = [...new Set(known.filter((each) => each !== undefined))];
    return passwords.length === 0 ? [undefined] : passwords;
  }

  /** Remembers which one opened the server, so that the next connection need not try. */
  worked(password: string | undefined): void {
    this.#worked = password;
  }

  async changedAt(): Promise<number | undefined> {
    return (await this.#read()).held.changedAt;
  }

  /**
   * A new password: written down as pending, set by `set`, proven by `prove`, then the current one. Whatever dies in between, one of
   * those written down opens the server: the one that opens it now is kept by name, pending ones of others until nobody can still be
   * about to set them. `prove` throws where a password opens nothing.
   */
  async rotate(set: (password: string, notAfter: number) => Promise<void>, prove: (password: string) => Promise<void>): Promise<void> {
    if (this.#settings.password === undefined)
      throw new PermanentFailure("our role has no password to change: the target has no `password`, so the server knows us otherwise");
    const now = this.#ports.clock();
    const before = await this.#read();
    const held = await this.#certain(before.held, prove);
    const password = newPassword();
    const young = held.pending.filter(({ at }) => at > now - SETTLED_MS).slice(0, 7);
    const pending = [{ password, at: now }, ...young];
    const noted = await this.#write(before.raw, { ...held, pending });
    await set(password, now + SETTLED_MS / 2);
    await prove(password);
    await this.#write(noted, { current: password, changedAt: now, pending: young });
    this.#worked = password;
  }

  /** A pending password that turns out to be the server's is the current one: a crash kept us from noting it, and it must not be forgotten. */
  async #certain(held: Held, prove: (password: string) => Promise<void>): Promise<Held> {
    const opens = async (password: string): Promise<boolean> =>
      prove(password).then(
        () => true,
        () => false,
      );
    if (held.pending.length === 0 || (held.current !== undefined && (await opens(held.current)))) return held;
    for (const { password } of held.pending)
      if (await opens(password)) return { ...held, current: password, pending: held.pending.filter((each) => each.password !== password) };
    return held;
  }

  async #given(held: Held): Promise<string | undefined> {
    const reference = this.#settings.password;
    if (reference === undefined) return undefined;
    try {
      return (await this.#ports.secret(reference)).reveal().replace(/\r?\n$/, "");
    } catch (error) {
      // once we changed it, the file with the first password may be gone
      if (held.current !== undefined) return undefined;
      throw error;
    }
  }

  async #read(): Promise<{ readonly raw: Secret | undefined; readonly held: Held }> {
    const raw = await this.#ports.vault.read(VAULT_NAME);
    if (raw === undefined) return { raw, held: { pending: [] } };
    try {
      return { raw, held: Held.parse(JSON.parse(raw.reveal())) };
    } catch {
      // its words would be the passwords
      throw new PermanentFailure("what the vault holds for this target is not what we put there; restore it, or reset our role's password");
    }
  }

  async #write(before: Secret | undefined, held: Held): Promise<Secret> {
    const after = new Secret(JSON.stringify(held));
    if (await this.#ports.vault.swap(VAULT_NAME, before, after)) return after;
    throw new RetryableFailure("another broker is changing the same password; it is tried again");
  }
}
