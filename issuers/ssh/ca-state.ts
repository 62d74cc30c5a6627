import { generateKeyPairSync } from "node:crypto";
import { z } from "zod";
import { PermanentFailure } from "../../domain/credential.ts";
import { caKey, fingerprintOf } from "./ca-key.ts";
import { lineOf, parsePublicKey, type SshPublicKey } from "./public-key.ts";

/** A private key in PEM and when it came to be (milliseconds). */
const Held = z.strictObject({ key: z.string(), since: z.number() });
/** CAs that we keep: what the vault holds, as JSON. */
const CaState = z.strictObject({
  /** Grows with every change of what is published. */
  generation: z.int(),
  current: Held,
  /** Published, and not yet signing. */
  next: Held.optional(),
  /** Public keys that signed until lately; certificates of theirs live until then. */
  retired: z.array(z.strictObject({ line: z.string(), until: z.number() })),
});
export type CaState = z.output<typeof CaState>;

/** What time and settings do to the state. */
export interface CaRules {
  readonly now: number;
  /** How long a new CA is published before it signs. */
  readonly announceMs: number;
  /** How long certificates of a CA that has just stopped signing may live. */
  readonly longestMs: number;
  /** Fingerprints of which nothing may be signed nor published any more. */
  readonly distrust: readonly string[];
}

/** Throws `PermanentFailure` without a word of what it could not read. */
export function readState(text: string): CaState {
  try {
    return CaState.parse(JSON.parse(text));
  } catch {
    throw new PermanentFailure(
      "what the store holds as this target's CA is not what this version writes: restore the store, or go on with the version that wrote it",
    );
  }
}

const newKey = (now: number): CaState["current"] => ({
  key: generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
  since: now,
});

/** The first CA signs at once: there is none that hosts could know instead. */
export const firstState = (now: number): CaState => ({ generation: 0, current: newKey(now), retired: [] });

/** The state as it stands now: the next CA signs once it was announced, what is over leaves, what is distrusted is replaced. */
export function settled(state: CaState, rules: CaRules): CaState {
  const { now, announceMs } = rules;
  const { next } = state;
  const ripe = next !== undefined && next.since + announceMs <= now ? promoted(state, next, rules) : state;
  const retired = ripe.retired.filter(({ line, until }) => until > now && !distrusts(rules, parsePublicKey(line)));
  const checked = withoutDistrusted(retired.length === ripe.retired.length ? ripe : { ...ripe, retired }, rules);
  return checked === state ? state : { ...checked, generation: state.generation + 1 };
}

/** Begins a rotation: the next CA is announced. One that is under way goes on as it is, so that asking twice is asking once. */
export function rotating(state: CaState, rules: CaRules): CaState {
  const now = settled(state, rules);
  return now.next === undefined ? { ...now, generation: state.generation + 1, next: newKey(rules.now) } : now;
}

function promoted({ next: _next, ...state }: CaState, next: CaState["current"], { now, longestMs }: CaRules): CaState {
  const line = lineOf(publicKeyOfHeld(state.current), "retired");
  return { ...state, current: { ...next, since: now }, retired: [...state.retired, { line, until: now + longestMs }] };
}

/** A CA that leaked signs nothing more: its announced successor takes its place at once, else a new one. */
function withoutDistrusted(state: CaState, rules: CaRules): CaState {
  if (rules.distrust.length === 0) return state;
  const { next: announced, ...rest } = state;
  const isBad = (held: CaState["current"] | undefined): boolean => held !== undefined && distrusts(rules, publicKeyOfHeld(held));
  const next = isBad(announced) ? undefined : announced;
  if (isBad(state.current)) return { ...rest, current: next === undefined ? newKey(rules.now) : { ...next, since: rules.now } };
  return next === announced ? state : rest;
}

export const publicKeyOfHeld = (held: CaState["current"]): SshPublicKey => caKey(held.key).publicKey;

function distrusts({ distrust }: CaRules, key: Pick<SshPublicKey, "blob">): boolean {
  return distrust.includes(fingerprintOf(key));
}
