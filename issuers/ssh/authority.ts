import { PermanentFailure } from "../../domain/credential.ts";
import type { SecretReference, TargetPorts } from "../../domain/target.ts";
import { changeKeptCa } from "../kept-ca.ts";
import { caKey, fingerprintOf, type CaKey } from "./ca-key.ts";
import { firstState, publicKeyOfHeld, readState, rotating, settled, type CaRules, type CaState } from "./ca-state.ts";
import { parsePublicKey, type SshPublicKey } from "./public-key.ts";
import { MalformedKey } from "./wire.ts";

/** The CAs of a target as they stand now. */
export interface Authorities {
  /** Undefined while the only one there is is distrusted: nothing can be signed, and the lists go on. */
  readonly signer: CaKey | undefined;
  /** All that hosts are to believe, the signing one first. */
  readonly published: readonly SshPublicKey[];
  /** Grows with every change of what is published. */
  readonly generation: number;
  /** Since when the signing one signs (milliseconds); undefined where somebody else made it. */
  readonly since?: number;
  /** From when the announced one signs. */
  readonly nextFrom?: number;
}

/** Where a target's CAs come from. */
export interface AuthoritySource {
  now(): Promise<Authorities>;
  /** Announces the next CA. Absent where the key is somebody else's. */
  rotate?(): Promise<void>;
}

/** CAs that we make ourselves, kept sealed in the store, so that all brokers sign with the same one. */
export function keptAuthority(ports: TargetPorts, rules: Omit<CaRules, "now">): AuthoritySource {
  const rulesNow = (): CaRules => ({ ...rules, now: ports.clock() });
  let last: { readonly text: string; readonly authorities: Authorities } | undefined;
  const change = async (step: (state: CaState, rules: CaRules) => CaState): Promise<Authorities> => {
    const { text, state } = await changeKeptCa(ports.vault, async (held) => {
      const before = held === undefined ? undefined : readState(held);
      const after = step(before ?? firstState(ports.clock()), rulesNow());
      return { text: after === before && held !== undefined ? held : JSON.stringify(after), state: after };
    });
    if (last?.text !== text) last = { text, authorities: authoritiesOf(state, rules.announceMs) };
    return last.authorities;
  };
  return {
    now: () => change(settled),
    rotate: async () => {
      await change(rotating);
    },
  };
}

function authoritiesOf(state: CaState, announceMs: number): Authorities {
  const signer = caKey(state.current.key);
  const next = state.next === undefined ? [] : [publicKeyOfHeld(state.next)];
  return {
    signer,
    published: [signer.publicKey, ...next, ...state.retired.map(({ line }) => parsePublicKey(line))],
    generation: state.generation,
    since: state.current.since,
    ...(state.next !== undefined && { nextFrom: state.next.since + announceMs }),
  };
}

/** A CA whose key somebody supplies and exchanges: read anew each time, so that a new file takes effect. */
export function suppliedAuthority(
  ports: TargetPorts,
  { key, also, distrust }: { readonly key: SecretReference; readonly also: readonly SshPublicKey[]; readonly distrust: readonly string[] },
): AuthoritySource {
  let last: { readonly text: string; readonly signer: CaKey } | undefined;
  const trusted = (one: SshPublicKey): boolean => !distrust.includes(fingerprintOf(one));
  return {
    async now() {
      const text = (await ports.secret(key)).reveal();
      if (last?.text !== text) last = { text, signer: readSupplied(text, key) };
      const { signer } = last;
      const published = [signer.publicKey, ...also.filter((one) => !one.blob.equals(signer.publicKey.blob))].filter(trusted);
      return { signer: trusted(signer.publicKey) ? signer : undefined, published, generation: 0 };
    },
  };
}

function readSupplied(text: string, key: SecretReference): CaKey {
  try {
    return caKey(text);
  } catch (error) {
    const reason = error instanceof MalformedKey ? error.message : "it is not a key";
    throw new PermanentFailure(`the CA key at ${key} cannot be used: ${reason}`);
  }
}
