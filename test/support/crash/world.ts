import { randomBytes } from "node:crypto";
import { expect } from "@jest/globals";
import { BUCKETS, type LeaseId } from "../../../domain/ids.ts";
import type { LeaseState } from "../../../domain/lease.ts";
import type { OpenedStore } from "../../../store/open.ts";
import { startBroker, type BrokerSettings, type TestBroker } from "../broker.ts";
import { fakeClock, type FakeClock } from "../clock.ts";
import { eventually } from "../events.ts";
import { presetClaims } from "../idp-claims.ts";
import { startIdp, type TestIdp } from "../idp.ts";
import { freePort, startRedis, type TestRedis } from "../redis.ts";
import { DEPLOY_KEY, shopDocuments } from "../shop.ts";
import { Failpoints, watchedKind, watchedStore } from "./failpoints.ts";
import { post, startHttpWire, type Heard, type HttpWire } from "./http-wire.ts";
import { startRedisWire, type RedisWire } from "./redis-wire.ts";
import type { CrashTarget, Wire } from "./target.ts";

/** A broker whose places can be reached, and its wires to everybody else. */
export interface Actor {
  readonly broker: TestBroker;
  readonly points: Failpoints;
  readonly redis: RedisWire;
  readonly target: Wire;
  readonly http: HttpWire;
}

/** Told of each lease that any broker asks the store to open. */
type Recorder = (lease: LeaseId) => void;

const GRANT = `
---
kind: Grant
name: role
owner: team-payments
sensitivity: medium
allow:
  - { trust: github, claims: { repository_id: "456789" } }
issue: { target: crash-db, ttl: 10m }
`;
export const TTL_MS = 600_000;
/** Past the 30 s that a pending lease has, and past the minute that a claim hides a lease. */
export const PENDING_OVER = 31_000;
export const CLAIM_OVER = 61_000;

/**
 * One store, one target, one broker that lives on (`survivor`) and one after the other that something happens to (`actor`). Every
 * story ends with `finish`, which holds what is left of it against what must always be true.
 */
export class World implements AsyncDisposable {
  readonly clock: FakeClock;
  readonly redis: TestRedis;
  readonly idp: TestIdp;
  readonly target: CrashTarget;
  readonly survivor: TestBroker;
  readonly url: string;
  readonly masterKey: Buffer;
  actor: Actor;
  readonly #ports: { readonly actor: number };
  readonly #closing: AsyncDisposable[];
  #dead = false;
  #run = 0;
  /** Of this story. */
  opened = new Set<LeaseId>();
  acknowledged = new Set<LeaseId>();
  #audited: readonly number[] = [];
  #task: { readonly id: string; readonly token: string } | undefined;

  private constructor(parts: Pick<World, "clock" | "redis" | "idp" | "target" | "url" | "masterKey">, survivor: TestBroker, port: number) {
    this.clock = parts.clock;
    this.redis = parts.redis;
    this.idp = parts.idp;
    this.target = parts.target;
    this.url = parts.url;
    this.masterKey = parts.masterKey;
    this.survivor = survivor;
    this.#ports = { actor: port };
    this.#closing = [];
    this.actor = undefined as unknown as Actor; // given by `open` before anybody has the world
  }

  static async open(target: CrashTarget): Promise<World> {
    const clock = fakeClock(Date.now());
    const redis = await startRedis();
    const idp = await startIdp({ clock });
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const masterKey = randomBytes(32);
    const wire = await target.connect();
    let record: Recorder = () => undefined;
    const survivor = await startBroker({
      ...common({ clock, url, masterKey, target, wire, idp }),
      redis,
      port: await freePort(),
      kinds: [wire.kind],
      wrapStore: (store) => recorded(store, (lease) => record(lease)),
    });
    const world = new World({ clock, redis, idp, target, url, masterKey }, survivor, port);
    record = (lease) => void world.opened.add(lease);
    world.#closing.push(survivor, wire);
    world.actor = await world.start();
    return world;
  }

  /** Another broker under the same name, on the same store and target. */
  async start(more: BrokerSettings = {}): Promise<Actor> {
    const points = new Failpoints();
    const redis = await startRedisWire(this.redis);
    const target = await this.target.connect();
    const { clock, url, masterKey, idp } = this;
    const broker = await startBroker({
      ...common({ clock, url, masterKey, target: this.target, wire: target, idp }),
      redis: redis.redis,
      port: this.#ports.actor,
      kinds: [watchedKind(target.kind, points)],
      wrapStore: (store) =>
        watchedStore(
          recorded(store, (lease) => void this.opened.add(lease)),
          points,
        ),
      ...more,
    }).catch(async (error: unknown) => {
      await redis[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
      throw error;
    });
    return { broker, points, redis, target, http: await startHttpWire(more.port ?? this.#ports.actor) };
  }

  /** Its successor, on what it left. */
  async revive(): Promise<void> {
    this.actor = await this.start();
    this.#dead = false;
  }

  /** The policy, for a broker that reaches the target over this wire. */
  documents(wire: Wire): string {
    return documentsOf(this.idp, this.url, wire);
  }

  /** A story begins: a broker that is well, and a task. */
  async begin(): Promise<void> {
    if (this.#dead) await this.revive();
    this.opened = new Set();
    this.acknowledged = new Set();
    this.#audited = (await this.survivor.store.audit.states()).map(({ lastSeq }) => lastSeq);
    const heard = await post(`${this.actor.http.url}/v1/tasks`, {}, { authorization: `Bearer ${await this.evidence()}` });
    if (heard.status === "broken" || heard.status >= 300) throw new Error(`no task: ${JSON.stringify(heard)}`);
    this.#task = { id: String(heard.body["task"]), token: String(heard.body["task_token"]) };
  }

  async evidence(): Promise<string> {
    this.#run += 1;
    const claims = { iss: this.idp.issuer, aud: this.url, repository_id: "456789", ref: "refs/heads/main", run_id: `${this.#run}` };
    return this.idp.token(presetClaims("github", claims));
  }

  get task(): { readonly id: string; readonly token: string } {
    if (this.#task === undefined) throw new Error("no task");
    return this.#task;
  }

  /** Asks the actor for a credential. Whoever gets one has a lease that was active by then (I2). */
  async ask({ grant = "role", key, signal }: { grant?: string; key?: string; signal?: AbortSignal } = {}): Promise<Heard> {
    const headers = { authorization: `Bearer ${this.task.token}`, ...(key === undefined ? {} : { "idempotency-key": key }) };
    const heard = await post(`${this.actor.http.url}/v1/tasks/${this.task.id}/credentials`, { grant }, headers, signal);
    if (heard.status === 201) {
      const lease = await this.lease(String(heard.body["lease_id"]) as LeaseId);
      expect(lease?.state).not.toBe("pending");
      expect(lease).toBeDefined();
    }
    return heard;
  }

  async credential(grant = "role"): Promise<{ readonly lease: LeaseId; readonly credential: Readonly<Record<string, unknown>> }> {
    const heard = await this.ask({ grant });
    if (heard.status !== 201) throw new Error(`no credential: ${JSON.stringify(heard)}`);
    return credentialIn(heard);
  }

  /** Releases at the actor; remembered once it was acknowledged. */
  async release(lease: LeaseId): Promise<Heard> {
    const heard = await post(`${this.actor.http.url}/v1/leases/${lease}/release`, {}, { authorization: `Bearer ${this.task.token}` });
    if (heard.status === 200) this.acknowledged.add(lease);
    return heard;
  }

  lease(id: LeaseId): ReturnType<OpenedStore["leases"]["get"]> {
    return this.survivor.store.leases.get(id);
  }

  async introspected(token: string, broker: TestBroker = this.survivor): Promise<boolean> {
    const verifier = `Basic ${Buffer.from(`deploy-api:${DEPLOY_KEY}`).toString("base64")}`;
    const heard = await post(`${broker.listens}/oauth2/introspect`, new URLSearchParams({ token }), { authorization: verifier });
    return heard.status !== "broken" && heard.body["active"] === true;
  }

  /** The actor's process is gone, with all that it was about to do. */
  async crash(): Promise<void> {
    this.#dead = true;
    await this.kill(this.actor);
  }

  /** The same of another one that was started in this story. */
  async kill(actor: Actor): Promise<void> {
    await actor.points.die();
    actor.target.die();
    this.#closing.push(actor.target); // what it had sent is still on its way
    await actor.http[Symbol.asyncDispose]();
    await actor.broker.abandon();
    await actor.redis[Symbol.asyncDispose]();
  }

  /** Time passes, and the survivor sweeps as often as there is something due. */
  async later(ms: number): Promise<void> {
    this.clock.advance({ ms });
    await this.sweep();
  }

  async sweep(): Promise<void> {
    for (let more = true; more;) {
      const swept = await this.survivor.sweep();
      await this.survivor.settled();
      more = swept.more || swept.claimed > 0;
    }
  }

  /** What the store and the target hold of this story. */
  async snapshot(): Promise<unknown> {
    const leases = await Promise.all([...this.opened].map((id) => this.lease(id)));
    const alive = await this.mine();
    return { alive, leases: leases.map((lease) => lease && { id: lease.id, state: lease.state, by: lease.endedBy, end: lease.settledAt }) };
  }

  /** Credentials of this story that exist. */
  async mine(): Promise<readonly LeaseId[]> {
    return (await this.target.alive()).filter((id) => this.opened.has(id));
  }

  /** Until what is under way at the target has been done. */
  async quiet(): Promise<void> {
    await eventually("the target is quiet", async () => !(await this.target.contended()));
  }

  /**
   * I1: what exists belongs to a live lease, and what is live exists. I6: every lease that was opened is in one state. `active`: how
   * many of this story's leases are.
   */
  async check({ active }: { readonly active: number }): Promise<void> {
    const states = new Map<LeaseId, LeaseState>();
    for (const id of this.opened) {
      const lease = await this.lease(id);
      if (lease !== undefined) states.set(id, lease.state);
    }
    const wanted = [...states].filter(([, state]) => state === "active").map(([id]) => id);
    const atTarget: LeaseId[] = [];
    for (const id of wanted) if ((await this.lease(id))?.issuer === "crash-db") atTarget.push(id);
    expect(new Set(await this.target.alive())).toEqual(new Set(atTarget));
    expect({ active: wanted.length, states: [...states.values()] }).toMatchObject({ active });
    const { byState, opened } = await this.survivor.store.leases.counts();
    expect(Object.values(byState).reduce((sum, count) => sum + count, 0)).toBe(opened);
    for (const id of this.acknowledged) expect(states.get(id)).not.toMatch(/^(?:pending|active)$/);
  }

  /** The story is over: everything comes to its end without a person's help, and the audit tells it without a gap. */
  async finish(): Promise<void> {
    for (const ms of [PENDING_OVER, CLAIM_OVER, TTL_MS, CLAIM_OVER, CLAIM_OVER]) {
      await this.later(ms);
      if (!this.#dead) await this.actor.broker.settled();
    }
    await this.check({ active: 0 });
    for (const id of this.opened) expect([undefined, "revoked"]).toContain((await this.lease(id))?.state);
    expect(await this.target.alive()).toEqual([]);
    await this.#auditHolds();
  }

  /** I13: no gap in any bucket. I3: no lease is told of as active after it was told of as ended, and each comes to one end. */
  async #auditHolds(): Promise<void> {
    const ends = new Map<string, number>();
    const over = new Set<string>();
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      const { firstWaiting, lastSeq } = await this.survivor.store.audit.state(bucket);
      // What a story has exported into files is gone from here, and looked at there.
      const from = Math.max(this.#audited[bucket] ?? 0, (firstWaiting ?? lastSeq + 1) - 1);
      const rows = await this.survivor.store.audit.read(bucket, from, 10_000);
      expect({ bucket, seqs: rows.map(({ seq }) => seq) }).toEqual({ bucket, seqs: range(from + 1, lastSeq) });
      for (const row of rows) {
        const ids = (row.leases ?? (row.lease === undefined ? [] : [row.lease])).filter((id) => this.opened.has(id));
        for (const id of ids) {
          if (row.action === "lease.activated") expect({ id, over: over.has(id) }).toEqual({ id, over: false });
          if (row.action === "lease.ending" || row.action === "lease.ended") over.add(id);
          const settled = row.action === "leases.expired" || (row.action === "lease.ended" && row["state"] !== "revoking");
          if (settled) ends.set(id, (ends.get(id) ?? 0) + 1);
        }
      }
    }
    for (const id of this.opened) if ((await this.lease(id)) !== undefined) expect({ id, ends: ends.get(id) }).toEqual({ id, ends: 1 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#dead) await this.crash();
    for (const each of this.#closing) await each[Symbol.asyncDispose]();
    await this.idp[Symbol.asyncDispose]();
    await this.redis[Symbol.asyncDispose]();
  }
}

const range = (from: number, to: number): readonly number[] => Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => from + at);

export function credentialIn(heard: Heard): { readonly lease: LeaseId; readonly credential: Readonly<Record<string, unknown>> } {
  if (heard.status === "broken") throw new Error("the connection broke");
  return {
    lease: String(heard.body["lease_id"]) as LeaseId,
    credential: heard.body["credential"] as Readonly<Record<string, unknown>>,
  };
}

function common(parts: {
  readonly clock: FakeClock;
  readonly url: string;
  readonly masterKey: Buffer;
  readonly target: CrashTarget;
  readonly wire: Wire;
  readonly idp: TestIdp;
}): BrokerSettings {
  const { clock, url, masterKey, target, wire, idp } = parts;
  return { clock, url, masterKey, variables: target.variables, documents: documentsOf(idp, url, wire) };
}

const documentsOf = (idp: TestIdp, url: string, wire: Wire): string =>
  `${shopDocuments(idp, url)}\n---\nkind: Target\nname: crash-db\nowner: team-platform\n${wire.documents}\n${GRANT}`;

const recorded = (store: OpenedStore, record: Recorder): OpenedStore => ({
  ...store,
  leases: {
    ...store.leases,
    open: (order) => {
      record(order.leaseId);
      return store.leases.open(order);
    },
  },
});
