import type { TargetStanding } from "../../broker/targets/api.ts";
import { StintError } from "../../domain/errors.ts";
import { newId } from "../../domain/ids.ts";
import type { Lease } from "../../domain/lease.ts";
import { Secret } from "../../domain/secret.ts";
import type { Task } from "../../domain/task.ts";
import type { Clock } from "../../domain/time.ts";
import { gzipSync } from "node:zlib";
import { createProofs } from "../../broker/dpop/service.ts";
import { createOperators, newOperatorToken } from "../../broker/operators.ts";
import type { Verifier } from "../../broker/policy/policy.ts";
import type { Caller, ExchangeRequest, IssuedCredential, Receipt, Revocation, Role, Services } from "../../broker/services.ts";
import type { Lock } from "../../store/api.ts";

/** One token for each role, known to `memoryServices`. */
const issued = {
  viewer: newOperatorToken("vera", "viewer"),
  approver: newOperatorToken("april", "approver"),
  responder: newOperatorToken("rob", "responder"),
  admin: newOperatorToken("ada", "admin"),
};
export const OPERATORS: Readonly<Record<Role, string>> = {
  viewer: issued.viewer.token.reveal(),
  approver: issued.approver.token.reveal(),
  responder: issued.responder.token.reveal(),
  admin: issued.admin.token.reveal(),
};
export const VERIFIER = { name: "deploy-api", key: "vk-0123456789abcdef" } as const;
/** The one piece of evidence that is good. */
export const EVIDENCE = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln";
/** The one token of ours that is live. */
export const CREDENTIAL = "eyJhbGciOiJFUzI1NiJ9.eyJsZWFzZSI6MX0.b3Vycw";
export const TASK_TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJ0YXNrIjoxfQ.dGFzaw";
const AT = Date.parse("2026-03-02T12:00:00.000Z");
export const LEASE_ID = newId("lease", AT);
export const TASK_ID = newId("task", AT);
export const REVOCATION_ID = newId("rev", AT);

const lease: Lease = {
  id: LEASE_ID,
  state: "active",
  subject: "github:456789",
  workload: "github/acme/shop",
  trust: "github",
  grant: "deploy-prod",
  issuer: "jwt",
  task: TASK_ID,
  openedAt: AT,
  expiresAt: AT + 600_000,
  maxExpiresAt: AT + 1_800_000,
  endedAt: undefined,
  endedBy: undefined,
  revocation: "verifier_checked",
  attempts: 0,
  lastError: undefined,
};
const task: Task = {
  id: TASK_ID,
  state: "open",
  subject: "github:456789",
  workload: "github/acme/shop",
  trust: "github",
  value: "1.1.1",
  parent: undefined,
  purpose: undefined,
  openedAt: AT,
  expiresAt: AT + 3_600_000,
  heartbeatMs: undefined,
  heartbeatBy: undefined,
  endedAt: undefined,
  endedBy: undefined,
  outcome: undefined,
};
const credential = (): IssuedCredential => ({
  lease,
  task,
  grant: "deploy-prod",
  issuer: "jwt",
  credential: { type: "jwt", token: new Secret(CREDENTIAL) },
  scope: ["deploy:write"],
  expiresAt: lease.expiresAt,
  limitedBy: "grant",
  revocation: "verifier_checked",
  deadBy: lease.expiresAt,
  replayed: false,
});
const receipt: Receipt = {
  task: TASK_ID,
  revocation: undefined,
  endedBy: "complete",
  settled: true,
  deadBy: AT,
  more: 0,
  leases: [
    { leaseId: LEASE_ID, issuer: "jwt", outcome: "revoked", revocation: "verifier_checked", deadBy: AT, tookMs: 3.2, reason: undefined },
  ],
};
const revocation: Revocation = {
  id: REVOCATION_ID,
  state: "done",
  selector: { workload: "github/acme/shop" },
  reason: "INC-1",
  by: "operator:rob",
  at: AT,
  matched: 1,
  ended: 1,
  inForceAt: AT,
  lockId: undefined,
  receipt: { ...receipt, task: undefined, revocation: REVOCATION_ID, endedBy: "revoked" },
};
const verifier: Verifier = { name: VERIFIER.name, audience: "https://deploy.acme.dev", keyHashes: [], checks: "introspection" };

const CLAIMS = {
  iss: "http://127.0.0.1:8420",
  sub: lease.subject,
  aud: verifier.audience,
  client_id: lease.subject,
  scope: "deploy:write",
  iat: AT / 1000,
  nbf: AT / 1000,
  exp: AT / 1000 + 600,
  jti: LEASE_ID,
  lease_id: LEASE_ID,
  task_id: TASK_ID,
  grant: "deploy-prod",
  workload: lease.workload,
};

const notFound = (): never => {
  throw new StintError("not_found", "the service's own words");
};
const ofTask = (id: string, token: Secret): void => {
  if (token.reveal() !== TASK_TOKEN || id !== TASK_ID) notFound();
};
const mayRead = (caller: Caller, good: readonly string[]): void => {
  if (caller.kind === "bearer" && !good.includes(caller.token.reveal())) notFound();
};

const TARGET: TargetStanding = {
  name: "shop-db",
  kind: "postgres",
  owner: "team-payments",
  state: "open",
  revocation: "immediate",
  making: 1,
  ending: 0,
  waiting: 0,
  facts: { server: "PostgreSQL 15.18", passwordChangedAt: AT, quota: { left: 1, of: 2, resetsAt: AT }, warnings: [] },
  findings: undefined,
  trouble: { at: AT, what: "examine", error: "did not answer" },
};

/** Small services without a store behind them, for what only HTTP can get right: parsing, limits, shapes. One lease, one task. */
export function memoryServices(clock: Clock): Services {
  const operators = createOperators(() => undefined);
  operators.replace(
    Object.values(issued)
      .map(({ line }) => line)
      .join("\n"),
    "operators",
  );
  const locks = new Map<string, Lock>();
  const attest = (evidence: Secret): void => {
    if (evidence.reveal() !== EVIDENCE)
      throw new StintError("invalid_identity", "the signature is wrong", { denialId: newId("den", clock()) });
  };
  return {
    url: "http://127.0.0.1:8420",
    requests: {
      async exchange(request: ExchangeRequest) {
        attest(request.evidence);
        if (request.grant !== undefined && request.grant !== "deploy-prod")
          throw new StintError("not_permitted", "no grant by that name is available to this workload", { denialId: newId("den", clock()) });
        return { ...credential(), taskToken: new Secret(TASK_TOKEN) };
      },
    },
    tasks: {
      async open({ evidence, purpose, heartbeatMs }) {
        attest(evidence);
        const beat = heartbeatMs === undefined ? {} : { heartbeatMs, heartbeatBy: clock() + heartbeatMs };
        return { task: { ...task, purpose, ...beat }, taskToken: new Secret(TASK_TOKEN), joined: false };
      },
      async get(id, caller) {
        mayRead(caller, [TASK_TOKEN]);
        return id === TASK_ID ? { task, receipt: undefined } : notFound();
      },
      list: async () => ({ items: [task], nextCursor: "next" }),
      async credential({ taskId, taskToken }) {
        ofTask(taskId, taskToken);
        return credential();
      },
      async heartbeat(id, token) {
        ofTask(id, token);
        return task;
      },
      async complete({ taskId, taskToken }) {
        ofTask(taskId, taskToken);
        return receipt;
      },
    },
    leases: {
      async get(id, caller) {
        mayRead(caller, [TASK_TOKEN, CREDENTIAL]);
        return id === LEASE_ID ? lease : notFound();
      },
      list: async () => ({ items: [lease], nextCursor: undefined }),
      async release(id, token) {
        if (id !== LEASE_ID || ![TASK_TOKEN, CREDENTIAL].includes(token.reveal())) notFound();
        const [first] = receipt.leases;
        return first === undefined
          ? notFound()
          : { lease: { ...lease, state: "revoked", endedAt: clock(), endedBy: "released" }, receipt: first };
      },
      async renew({ leaseId, taskToken }) {
        if (leaseId !== LEASE_ID || taskToken.reveal() !== TASK_TOKEN) notFound();
        return credential();
      },
      forceClose: async (id) => (id === LEASE_ID ? { ...lease, state: "forced" } : notFound()),
    },
    introspection: {
      check: async (token) => (token.reveal() === CREDENTIAL ? { active: true, tokenType: "Bearer", claims: CLAIMS } : { active: false }),
    },
    tokens: { revoke: async () => undefined },
    targets: {
      list: () => [TARGET],
      document: async () => ({ body: Buffer.from("one"), contentType: "text/plain", maxAge: 5 }),
      reconcile: async () => ({ at: AT, seen: 1, orphans: [LEASE_ID], orphaned: 1, missing: [], missed: 0, failed: 0, mode: "done" }),
      rotate: async () => TARGET,
    },
    statusLists: {
      token: async () => ({ token: "a.b.c", gzipped: gzipSync("a.b.c"), maxAgeSeconds: 30 }),
      uris: async () => ["http://127.0.0.1:8420/status/498612-0"],
    },
    proofs: createProofs({ url: "http://127.0.0.1:8420", masterKeys: [Buffer.alloc(32, 7)], clock }),
    actions: {
      decide: async (_, { subject }) =>
        subject.kind === "token" && subject.token.reveal() === CREDENTIAL
          ? { allowed: true, decisionId: newId("evt", clock()), rule: "deploy-api.routes[0]", token: CLAIMS }
          : {
              allowed: false,
              code: "invalid_token",
              message: "the token is not a live one for this audience",
              denialId: newId("den", clock()),
            },
      scopeOf: () => ["deploy:write"],
    },
    revocations: {
      start: async ({ reason }) => ({ ...revocation, reason }),
      dryRun: async () => ({
        selector: { all: true },
        matched: 1,
        tasks: 1,
        byIssuer: [{ issuer: "jwt", leases: 1, revocation: "expiry_only", deadBy: AT }],
        leases: [lease],
        truncated: false,
      }),
      get: async (id) => (id === revocation.id ? revocation : notFound()),
      list: async () => ({ items: [revocation], nextCursor: undefined }),
    },
    locks: {
      async add({ scope, ttlMs, reason, message, operator }) {
        const lock: Lock = {
          id: newId("lock", clock()),
          scope,
          until: clock() + ttlMs,
          reason,
          message,
          by: `operator:${operator.name}`,
          at: clock(),
        };
        locks.set(lock.id, lock);
        return lock;
      },
      list: async () => [...locks.values()],
      async remove(id) {
        const lock = locks.get(id) ?? notFound();
        locks.delete(id);
        return lock;
      },
    },
    hold: {
      show: async () => ({ held: false, since: undefined, reason: undefined, waiting: [], clockAheadMs: undefined }),
      clear: async () => ({ held: false, since: undefined, reason: undefined, waiting: [], clockAheadMs: undefined }),
    },
    keys: {
      list: async () => [
        { kid: "k".repeat(43), alg: "ES256", state: "active", createdAt: AT, activeAt: AT, retiredAt: undefined, destroyAt: undefined },
      ],
      rotate: async () => [],
      reseal: async () => ({ resealed: 2 }),
      withdraw: async () => ({ keys: [], revocation }),
      jwks: async () => ({ keys: [{ kty: "EC", kid: "k", alg: "ES256", use: "sig" }] }),
    },
    policy: {
      async whoami(token) {
        const operator = operators.authenticate(token);
        if (operator !== undefined) return { kind: "operator", operator };
        attest(token);
        return {
          kind: "workload",
          trust: "github",
          subject: lease.subject,
          workload: lease.workload,
          task: undefined,
          taskValue: "1.1.1",
          claims: { repository_id: "456789" },
          evidenceExpiresAt: AT,
          grants: ["deploy-prod"],
        };
      },
      async check(token, { grant }) {
        attest(token);
        return {
          allowed: true,
          grant,
          code: undefined,
          message: undefined,
          failedClaims: undefined,
          hint: undefined,
          scope: [],
          ttlMs: 600_000,
          limitedBy: "grant",
        };
      },
      explain: async () => ({
        allowed: false,
        code: "claim_mismatch",
        trace: { grant: "deploy-prod", grantExists: true, candidate: true, policy: "sha256:0", rules: [] },
        denial: undefined,
        today: undefined,
      }),
      simulate: async () => ({ version: "sha256:1", problems: [], cases: 0, differences: [], leasesOfVanishedGrants: 0 }),
    },
    audit: {
      query: async () => ({
        items: [{ bucket: 1, seq: 1, at: new Date(AT).toISOString(), action: "lease.issued", principal: lease.subject }],
        nextCursor: undefined,
      }),
    },
    denials: { get: async () => notFound() },
    events: { subscribe: () => () => undefined },
    feed: {
      open: async () => (sink) => void sink.destroy(),
      async *snapshot({ audience }) {
        yield `${JSON.stringify({ snapshot: 1, position: "cG9z", as_of: AT, issuer: "http://127.0.0.1:8420", audience })}\n`;
        yield `${JSON.stringify({ end: true, leases: 0, marks: 0 })}\n`;
      },
      seen: () => undefined,
      used: async () => undefined,
      usesOf: async () => new Map(),
      verifiers: async () => [{ verifier, instances: [] }],
      stats: () => ({ subscribers: 0, lagMs: undefined }),
    },
    operators,
    verifiers: {
      authenticate: (name, key) => ((name === undefined || name === VERIFIER.name) && key.reveal() === VERIFIER.key ? verifier : undefined),
      named: (name) => (name === VERIFIER.name ? verifier : undefined),
    },
    readiness: () => ({ ready: true, checks: [{ name: "redis", status: "ok", detail: "answers" }] }),
  };
}
