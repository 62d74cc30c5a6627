import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createApp, createServer } from "../../broker/app.ts";
import { openAuditTrail } from "../../broker/audit/trail.ts";
import { createBroker, type Broker, type BrokerOptions } from "../../broker/compose.ts";
import type { Witness } from "../../broker/hold.ts";
import { newOperatorToken } from "../../broker/operators.ts";
import type { Log } from "../../broker/parts.ts";
import { ROLES, type Origin, type Role, type Selector } from "../../broker/services.ts";
import type { AuditRecord } from "../../domain/audit-event.ts";
import type { IssuerKind } from "../../domain/target.ts";
import type { Issuer } from "../../domain/credential.ts";
import type { Secret } from "../../domain/secret.ts";
import { systemClock, type Clock } from "../../domain/time.ts";
import { freePort, startRedis, type TestRedis } from "./redis.ts";
import { storeAudit } from "./store-audit.ts";

export interface BrokerSettings {
  /** Moved by the test; the machine's own otherwise, with Redis TIME. */
  readonly clock?: Clock;
  /** A folder of documents, or the text of them. One of the two. */
  readonly policyDir?: string;
  readonly documents?: string | ((url: string) => string);
  readonly issuers?: readonly Issuer[];
  /** Kinds for Targets, in place of the catalog. */
  readonly kinds?: readonly IssuerKind[];
  /** What `env:NAME` finds. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Share it to run two brokers on one store, or to start again on what the first left. */
  readonly redis?: TestRedis;
  readonly masterKey?: Buffer;
  /** Several, the first of which seals. */
  readonly masterKeys?: readonly Buffer[];
  readonly url?: string;
  readonly witness?: Witness;
  /** Export into real audit files here; otherwise records stay where scripts wrote them. */
  readonly auditDir?: string;
  readonly random?: () => number;
  /** Where it listens, when that is not the port of its `url`: one of several behind one name. */
  readonly port?: number;
  readonly wrapStore?: NonNullable<BrokerOptions["wrapStore"]>;
}

/** A whole broker in this process: services, and HTTP on a port of its own, over a real Redis of its own. */
export interface TestBroker extends Broker {
  readonly url: string;
  /** Where it really listens: its `url`, unless it is one of several. */
  readonly listens: string;
  readonly redis: TestRedis;
  readonly masterKey: Buffer;
  /** One operator token per role; the operator bears the role's name. */
  readonly operators: Readonly<Record<Role, Secret>>;
  readonly logged: readonly { readonly level: string; readonly message: string; readonly fields: Readonly<Record<string, unknown>> }[];
  /** What the audit says; set `healthy` to false to make it fail. */
  readonly audit: { healthy: boolean; records(): Promise<readonly AuditRecord[]>; witnessed(witness: Witness): void };
  /** Ends it as a crash would: no drain, no record. Redis lives on. */
  abandon(): Promise<void>;
}

/** `await using broker = await startBroker({ clock, documents });` No timers run: call `sweep()` and `duties.runOnce()`. */
export async function startBroker(settings: BrokerSettings = {}): Promise<TestBroker> {
  const redis = settings.redis ?? (await startRedis());
  const folder = await mkdtemp(join(tmpdir(), "stint-broker-"));
  const url = settings.url ?? `http://127.0.0.1:${await freePort()}`;
  const policyPath = settings.policyDir ?? folder;
  if (settings.documents !== undefined)
    await writeFile(join(folder, "policy.yaml"), typeof settings.documents === "string" ? settings.documents : settings.documents(url));
  const masterKey = settings.masterKey ?? randomBytes(32);
  const tokens = ROLES.map((role) => ({ role, ...newOperatorToken(role, role) }));
  const logged: { level: string; message: string; fields: Readonly<Record<string, unknown>> }[] = [];
  const said = (level: string) => (fields: Readonly<Record<string, unknown>>, message: string) =>
    void logged.push({ level, message, fields });
  const log: Log = { info: said("info"), warn: said("warn"), error: said("error") };
  const state: { healthy: boolean; witness?: Witness | undefined } = { healthy: true, witness: settings.witness };
  const { clock } = settings;
  const options: BrokerOptions = {
    url,
    redis: redis.url,
    requireAof: false,
    masterKeys: settings.masterKeys ?? [masterKey],
    policyPath,
    operators: { file: "operators", text: tokens.map(({ line }) => line).join("\n") },
    log,
    openAudit: (parts) => (settings.auditDir === undefined ? storeAudit(parts.store, state) : openAuditTrail(settings.auditDir, parts)),
    ...(clock === undefined ? {} : { storeClock: { now: clock, agreed: () => true, offsetMs: () => 0 } }),
    ...(settings.issuers === undefined ? {} : { issuers: settings.issuers }),
    ...(settings.kinds === undefined ? {} : { kinds: new Map(settings.kinds.map((kind) => [kind.kind, kind])) }),
    variable: (name) => settings.variables?.[name],
    ...(settings.random === undefined ? {} : { random: settings.random }),
    ...(settings.wrapStore === undefined ? {} : { wrapStore: settings.wrapStore }),
  };
  const broker = await createBroker(options);
  const app = createApp(broker.services, { clock: clock ?? systemClock, version: "0.0.0", trustedProxies: [], served: () => undefined });
  const server = createServer(app);
  const wanted = settings.port ?? Number(new URL(url).port);
  await once(server.listen(wanted, "127.0.0.1"), "listening"); // throws where somebody else has the port

  const stopListening = (): Promise<void> => {
    const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
    server.closeAllConnections(); // after that, or one that comes in between keeps it open
    return closed;
  };
  const clean = async (): Promise<void> => {
    await stopListening();
    await rm(folder, { recursive: true, force: true });
  };
  let abandoned = false;
  const stop = async (): Promise<void> => {
    if (!abandoned) await clean();
    if (!abandoned) await broker.drain();
    if (settings.redis === undefined) await redis.stop();
  };
  return {
    ...broker,
    url,
    listens: `http://127.0.0.1:${wanted}`,
    redis,
    masterKey,
    operators: Object.fromEntries(tokens.map(({ role, token }) => [role, token])) as Record<Role, Secret>,
    logged,
    audit: {
      get healthy() {
        return state.healthy;
      },
      set healthy(value: boolean) {
        state.healthy = value;
      },
      records: () => storeAudit(broker.store).records(),
      witnessed: (witness) => void (state.witness = witness),
    },
    async abandon() {
      abandoned = true;
      await clean();
      await broker.store.close();
      await broker.duties.drain();
    },
    [Symbol.asyncDispose]: stop,
  };
}

/** Where a request of a test comes from. */
export const origin = (route = "test"): Origin => ({ ip: "127.0.0.1", traceId: "0".repeat(32), route });

/** A revocation, as a responder would start it. */
export const startRevocation = (
  { services }: Pick<TestBroker, "services">,
  selector: Selector,
): ReturnType<TestBroker["services"]["revocations"]["start"]> =>
  services.revocations.start({
    selector,
    reason: "INC-1",
    lockMs: undefined,
    operator: { name: "ann", role: "responder" },
    origin: origin(),
  });
