/** `raw` texts are JSON already, or long: they travel by themselves. All others share one argument. */
export type ArgKind = "number" | "text" | "raw";
interface Script {
  /** `any`: runs when memory is full too (ending must); `none`: writes nothing; `room`: refused when memory is full. */
  readonly writes: "any" | "none" | "room";
  readonly args: Readonly<Record<string, ArgKind>>;
}

const AUDITED_DENIAL = { denial: "text", denial_body: "raw", denied: "raw", retention: "number" } as const;
const EVIDENCE = {
  evidence: "text",
  evidence_max: "number",
  evidence_ttl: "number",
  evidence_key: "text",
  proof: "text",
  proof_ttl: "number",
} as const;

/**
 * Every script and its arguments. Each also gets `now` and `agreed`. The loader makes them locals of the same names, so a script and
 * this table cannot disagree.
 */
export const SCRIPTS = {
  "open-lease": {
    writes: "room",
    args: {
      id: "text",
      subject: "text",
      workload: "text",
      trust: "text",
      grant: "text",
      issuer: "text",
      key: "text",
      state: "text",
      class: "text",
      opened: "number",
      ttl: "number",
      limited_by: "text",
      max_ttl: "number",
      task_kind: "text",
      task_ref: "text",
      task_hash: "text",
      task_value: "text",
      task_ttl: "number",
      purpose: "text",
      terms: "text",
      status: "number",
      limit_active: "number",
      limit_hour: "number",
      ...EVIDENCE,
      idem: "text",
      idem_body: "text",
      replay: "text",
      said: "raw",
      claims: "raw",
      denial: "text",
      denial_at: "number",
      denial_route: "text",
      denial_trace: "text",
      retention: "number",
    },
  },
  "activate-lease": { writes: "room", args: { id: "text", handle: "text", name: "text", said: "raw", ended: "raw" } },
  "renew-lease": {
    writes: "room",
    args: {
      id: "text",
      task_id: "text",
      key: "text",
      jti: "text",
      ttl: "number",
      limited_by: "text",
      status: "number",
      idem: "text",
      idem_body: "text",
      said: "raw",
      ...AUDITED_DENIAL,
    },
  },
  "note-credentials": { writes: "room", args: { notes: "raw" } },
  "replace-handle": { writes: "any", args: { id: "text", from: "text", to: "text" } },
  "read-lease": { writes: "none", args: { id: "text" } },
  "is-live": { writes: "none", args: { id: "text", key: "text" } },
  "end-lease": { writes: "any", args: { id: "text", by: "text", said: "raw" } },
  "claim-due": { writes: "any", args: { limit: "number", calls: "number", hide: "number", busy: "text" } },
  "claim-lease": { writes: "any", args: { id: "text", hide: "number" } },
  "give-back-lease": { writes: "any", args: { id: "text", epoch: "number" } },
  "settle-lease": { writes: "any", args: { id: "text", epoch: "number", how: "text" } },
  "postpone-lease": { writes: "any", args: { id: "text", epoch: "number", delay: "number", reason: "text", stuck: "number" } },
  "force-lease": { writes: "any", args: { id: "text", reason: "text", said: "raw" } },
  "open-task": {
    writes: "room",
    args: {
      id: "text",
      subject: "text",
      workload: "text",
      trust: "text",
      ttl: "number",
      deadline: "number",
      heartbeat: "number",
      purpose: "text",
      parent: "text",
      value: "text",
      value_hash: "text",
      value_held: "number",
      ...EVIDENCE,
      idem: "text",
      idem_body: "text",
      said: "raw",
      joined_said: "raw",
      ...AUDITED_DENIAL,
    },
  },
  "enter-child": { writes: "room", args: { parent: "text", child: "text" } },
  "heartbeat-task": { writes: "any", args: { id: "text" } },
  "end-task": {
    writes: "any",
    args: {
      id: "text",
      by: "text",
      outcome: "text",
      cursor: "text",
      with_parent: "number",
      hide: "number",
      retention: "number",
      said: "raw",
    },
  },
  "finish-task": { writes: "any", args: { id: "text", retention: "number" } },
  mark: { writes: "any", args: { scope: "text", mark: "number", said: "raw" } },
  "end-marked": {
    writes: "any",
    args: { subject: "text", place: "number", name: "text", mark: "number", limit: "number", cursor: "text", said: "raw" },
  },
  "register-lock": { writes: "any", args: { id: "text", body: "text" } },
  "set-lock": { writes: "any", args: { scope: "text", body: "text", said: "raw" } },
  "remove-lock": { writes: "any", args: { scope: "text", id: "text", said: "raw" } },
  "record-denial": {
    writes: "room",
    args: {
      denial: "text",
      subject: "text",
      denial_body: "raw",
      said: "raw",
      retention: "number",
      code: "text",
      message: "text",
      ...EVIDENCE,
    },
  },
  "append-audit": { writes: "any", args: { once: "text", said: "raw" } },
  "set-hold": { writes: "any", args: { hold: "number", generation: "number", said: "raw" } },
  "create-revocation": { writes: "any", args: { id: "text", job: "raw", at: "number", retention: "number" } },
  "append-revocation": {
    writes: "any",
    args: {
      id: "text",
      state: "text",
      matched: "number",
      ended: "number",
      first: "text",
      closed: "number",
      in_force_at: "number",
      waiting: "raw",
      endings: "raw",
      retention: "number",
    },
  },
  "claim-answer": { writes: "any", args: { key: "text", body: "text", holder: "text" } },
  "keep-answer": { writes: "any", args: { key: "text", body: "text", answer: "raw" } },
  "lock-exporter": { writes: "any", args: { holder: "text", ttl: "number" } },
  "unlock-exporter": { writes: "any", args: { holder: "text" } },
  "note-uses": { writes: "room", args: { uses: "raw", said: "raw" } },
  "note-dead": { writes: "room", args: { kind: "text", id: "text", said: "raw" } },
  "skip-feed": { writes: "any", args: { told: "number" } },
  "note-seen": { writes: "room", args: { verifier: "text", notes: "raw", max: "number", keep: "number" } },
  "swap-secret": { writes: "any", args: { target: "text", name: "text", from: "text", to: "text" } },
  "revoke-serial": { writes: "any", args: { target: "text", serial: "text", keep_until: "number" } },
} as const satisfies Record<string, Script>;

export type ScriptName = keyof typeof SCRIPTS;

// What a failover may take back without breaking a promise, so that no answer waits for replicas. Ending must go on while they are away:
// a claim, a settling or an expiry that was lost is done again by the next sweep. A beat comes again. Denials, notes of use and of
// credentials are for people. `end-task` runs once more behind the whole family, and is waited for then (end-family.ts); a `finish-task`
// that was lost leaves a task due.
const LOSABLE: ReadonlySet<ScriptName> = new Set<ScriptName>([
  ...(["read-lease", "is-live"] as const),
  ...(["claim-due", "claim-lease", "settle-lease", "postpone-lease", "heartbeat-task", "end-task", "finish-task"] as const),
  ...(["record-denial", "note-credentials", "note-uses", "note-dead", "unlock-exporter"] as const),
]);

/** Whether an answer of this script is given before replicas have what it wrote. All others wait. */
export const mayBeLost = (name: ScriptName): boolean => LOSABLE.has(name);

/** What a call of this script must bring: misspelt or missing does not compile. */
export type ScriptArgs<N extends ScriptName> = {
  readonly [A in keyof (typeof SCRIPTS)[N]["args"]]: (typeof SCRIPTS)[N]["args"][A] extends "number" ? number : string;
};
