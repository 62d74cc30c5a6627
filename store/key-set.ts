/**
 * The signing keys as data, and the rules of their lives: announced, active, retired, destroyed. States follow from
 * instants that are stored once, so every broker switches at the same one. Pure: no clock, no store, no key material but sealed.
 */
import { z } from "zod";
import type { AuditFacts } from "../domain/audit-event.ts";

export const TOKEN_ALGORITHMS = ["ES256", "RS256"] as const;
export type TokenAlgorithm = (typeof TOKEN_ALGORITHMS)[number];
/** Ed25519 signs audit checkpoints and nothing else; the other two sign tokens and nothing else. */
export const KEY_ALGORITHMS = [...TOKEN_ALGORITHMS, "Ed25519"] as const;
export type KeyAlgorithm = (typeof KEY_ALGORITHMS)[number];

export const KEY_STATES = ["announced", "active", "retired", "destroyed", "withdrawn"] as const;
export type KeyState = (typeof KEY_STATES)[number];

/** How long a key stays in each state, in milliseconds. */
export interface KeyTimes {
  /** In the JWKS before it signs: at least twice what a JWKS may be cached for. */
  readonly announcedMs: number;
  readonly activeMs: number;
  /** In the JWKS after it signed last: the longest token, one JWKS cache, the clock allowance. */
  readonly retiredMs: number;
}

const DAY = 86_400_000;
/** Our JWKS may be cached for 300 s, verifiers built on jose keep it for 600 s; tokens live 24 h at most; clocks differ by 30 s. */
export const KEY_TIMES: KeyTimes = { announcedMs: DAY, activeMs: 30 * DAY, retiredMs: DAY + 600_000 + 30_000 };

/** A retired key's private part is kept this long, for brokers whose clocks run a little behind. */
const PRIVATE_GRACE_MS = 60_000;
/** Destroyed and withdrawn token keys are remembered, for people, up to this many. */
const REMEMBERED = 20;

const StoredKey = z.strictObject({
  kid: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  alg: z.enum(KEY_ALGORITHMS),
  public: z.record(z.string(), z.string()),
  /** The private key (PKCS #8), sealed; null once it was destroyed. */
  sealed: z.string().nullable(),
  /** Of ES256 keys: the secret that signs task tokens in the key's time, sealed. Kept until the key leaves the JWKS: tokens outlive its signing. */
  task: z.string().nullable(),
  createdAt: z.number(),
  activeAt: z.number(),
  retiredAt: z.number().nullable(),
  withdrawnAt: z.number().nullable(),
  /** The last state that the audit knows of. */
  noted: z.enum(KEY_STATES),
});
export type StoredKey = z.infer<typeof StoredKey>;

const KeySetSchema = z.strictObject({
  layout: z.literal(2),
  keys: z.array(StoredKey),
  /** Audit records that this document's changes owe; whoever writes them takes them out. */
  owed: z.array(z.custom<AuditFacts>((value) => typeof value === "object" && value !== null)),
});
export type KeySet = z.infer<typeof KeySetSchema>;

export const EMPTY: KeySet = { layout: 2, keys: [], owed: [] };

/** The document as it was stored; undefined when it is not one of ours. */
export function parseKeySet(text: string): KeySet | undefined {
  try {
    return KeySetSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

export function stateOf(key: StoredKey, now: number, times: KeyTimes): KeyState {
  if (key.withdrawnAt !== null) return "withdrawn";
  if (now < key.activeAt) return "announced";
  if (key.retiredAt === null || now < key.retiredAt) return "active";
  return now < key.retiredAt + times.retiredMs ? "retired" : "destroyed";
}

/**
 * The key that signs now: of those that may, the one that became active last. Should the clock have gone back before the first
 * one, that first one: a broker without a key helps nobody.
 */
export function signerAt(set: KeySet, alg: KeyAlgorithm, now: number): StoredKey | undefined {
  const able = set.keys.filter((key) => key.alg === alg && key.sealed !== null && key.withdrawnAt === null).sort(byActivation);
  return able.findLast((key) => key.activeAt <= now) ?? able[0];
}

export const announcedKey = (set: KeySet, alg: KeyAlgorithm, now: number): StoredKey | undefined =>
  set.keys.find((key) => key.alg === alg && key.withdrawnAt === null && key.activeAt > now);

/** Whether the next key of this kind should be announced by now. Keys that sign checkpoints change only by hand. */
export function announcementDue(set: KeySet, alg: TokenAlgorithm, now: number, times: KeyTimes): boolean {
  const active = signerAt(set, alg, now);
  return active !== undefined && announcedKey(set, alg, now) === undefined && now >= active.activeAt + times.activeMs - times.announcedMs;
}

/** When a key announced now takes over: at the end of the active one's time, but never before everyone can know it. */
export function takeoverAt(set: KeySet, alg: TokenAlgorithm, now: number, times: KeyTimes): number {
  const active = signerAt(set, alg, now);
  return Math.max(now + times.announcedMs, (active?.activeAt ?? 0) + times.activeMs);
}

/** Adds a key and lets the one before it retire when this one becomes active. */
export function withKey(set: KeySet, key: StoredKey, now: number, facts: AuditFacts): KeySet {
  return relinked({ ...set, keys: [...set.keys, key], owed: [...set.owed, facts] }, now);
}

/** Moves an announced key's activation. */
export function withActivation(set: KeySet, kid: string, activeAt: number, now: number): KeySet {
  return relinked({ ...set, keys: set.keys.map((key) => (key.kid === kid ? { ...key, activeAt } : key)) }, now);
}

/** Takes a key out of use at once, private part and all. */
export function withoutKey(set: KeySet, kid: string, now: number, facts: AuditFacts): KeySet {
  const keys = set.keys.map((key) =>
    key.kid === kid ? { ...key, sealed: null, task: null, withdrawnAt: now, noted: "withdrawn" as const } : key,
  );
  return relinked({ ...set, keys, owed: [...set.owed, facts] }, now);
}

/** A key retires when the next one of its kind takes over; what has already retired stays so. */
function relinked(set: KeySet, now: number): KeySet {
  const next = (key: StoredKey): number | null =>
    set.keys
      .filter((other) => other.alg === key.alg && other.withdrawnAt === null && other.kid !== key.kid && byActivation(key, other) < 0)
      .sort(byActivation)[0]?.activeAt ?? null;
  const keys = set.keys.map((key) =>
    key.withdrawnAt !== null || (key.retiredAt !== null && key.retiredAt <= now) ? key : { ...key, retiredAt: next(key) },
  );
  return { ...set, keys };
}

const byActivation = (a: StoredKey, b: StoredKey): number => a.activeAt - b.activeAt || (a.kid < b.kid ? -1 : 1);

/** What time alone has brought: private parts of retired keys destroyed, states noted for the audit, old entries forgotten. */
export function tidied(set: KeySet, now: number, times: KeyTimes): KeySet {
  const owed: AuditFacts[] = [];
  const keys = set.keys.map((key) => {
    const state = stateOf(key, now, times);
    const spent = key.sealed !== null && key.retiredAt !== null && key.retiredAt + PRIVATE_GRACE_MS <= now;
    if (state === key.noted && !spent) return key;
    const action = NOTED[state];
    if (state !== key.noted && action !== undefined) owed.push({ action, principal: "broker", kid: key.kid, alg: key.alg });
    return { ...key, noted: state, ...(spent && { sealed: null }), ...(state === "destroyed" && { task: null }) };
  });
  const over = keys.filter((key) => key.alg !== "Ed25519" && (key.noted === "destroyed" || key.noted === "withdrawn")).sort(byActivation);
  const forgotten = new Set(over.slice(0, Math.max(0, over.length - REMEMBERED)));
  if (owed.length === 0 && forgotten.size === 0 && keys.every((key, index) => key === set.keys[index])) return set;
  return { ...set, keys: keys.filter((key) => !forgotten.has(key)), owed: [...set.owed, ...owed] };
}

const NOTED: Readonly<Partial<Record<KeyState, AuditFacts["action"]>>> = {
  active: "key.activated",
  retired: "key.retired",
  destroyed: "key.destroyed",
};

/** A key as operators see it: never the private part. Times are milliseconds. */
export interface KeySummary {
  readonly kid: string;
  readonly alg: KeyAlgorithm;
  readonly state: KeyState;
  readonly createdAt: number;
  readonly activeAt: number | undefined;
  readonly retiredAt: number | undefined;
  readonly destroyAt: number | undefined;
}

/** All keys as operators see them, in the order they were made. */
export function summarize(set: KeySet, now: number, times: KeyTimes): readonly KeySummary[] {
  return set.keys.map((key) => ({
    kid: key.kid,
    alg: key.alg,
    state: stateOf(key, now, times),
    createdAt: key.createdAt,
    activeAt: key.activeAt,
    retiredAt: key.retiredAt ?? undefined,
    destroyAt: key.withdrawnAt ?? (key.retiredAt === null ? undefined : key.retiredAt + times.retiredMs),
  }));
}
