import type { TaskId } from "../domain/ids.ts";
import { parseDuration, systemClock, type Clock } from "../domain/time.ts";
import type { CheckView, OpenedTaskView, WhoamiView } from "../domain/wire.ts";
import { askOnce } from "./ask.ts";
import { BrokerClient, type CallOptions, type Speaker } from "./broker-client.ts";
import type { Connection } from "./call.ts";
import type { BrokerError } from "./errors.ts";
import { fetchTrusting } from "./https-fetch.ts";
import { autoIdentity, type Identity } from "./identity.ts";
import { Credential } from "./lease.ts";
import { Prover } from "./proof.ts";
import { Task, type CredentialOptions } from "./task.ts";

export interface ClientOptions extends Connection {
  /** Default: `autoIdentity()` for this broker's URL. */
  readonly identity?: Identity;
  /** PEM file of further certificate authorities to trust. */
  readonly caFile?: string;
  /** Binds every credential and task token to a key of this client (RFC 9449): a copy of them opens nothing. */
  readonly dpop?: boolean;
}

export interface TaskOptions extends CallOptions {
  readonly ttl?: string | number;
  /** The task ends when none came for this long; they are sent by themselves. */
  readonly heartbeat?: string | number;
  /** Id of the task that this one ends with. */
  readonly parent?: TaskId;
  /** Told when a heartbeat was refused or lost; a `GoneError` means that the task has ended. */
  readonly onHeartbeatLost?: (error: BrokerError) => void;
}

/** What a workload does with Stint. */
export interface Stint {
  readonly broker: BrokerClient;
  readonly identity: Identity;
  /** Opens a task, or joins the one this run belongs to. */
  task(purpose?: string, options?: TaskOptions): Promise<Task>;
  /** One credential in one trip; its task is the one this run belongs to, or one of its own. */
  request(grant: string, options?: CredentialOptions): Promise<Credential>;
  /** What the broker sees. */
  whoami(): Promise<WhoamiView>;
  /** What a request for the grant would be answered. */
  canI(grant: string): Promise<CheckView>;
}

/** A client of one broker. */
export function createClient(options: ClientOptions): Stint {
  const { identity: given, caFile, dpop = false, ...connection } = options;
  const trusting = caFile === undefined ? {} : { fetch: fetchTrusting(caFile) };
  const proving = dpop ? { prover: new Prover(options.clock ?? systemClock) } : {};
  const broker = new BrokerClient({ ...connection, ...trusting, ...proving });
  const identity = given ?? autoIdentity({ audience: options.url });
  return {
    broker,
    identity,
    task: (purpose, task = {}) => createTask(broker, identity, purpose, task),
    request: async (grant, asked = {}) => {
      const { signal, timeoutMs, ...rest } = asked;
      const call = { ...(signal === undefined ? {} : { signal }), ...(timeoutMs === undefined ? {} : { timeoutMs }) };
      const answer = await askOnce(broker, identity, { ...rest, grant }, call);
      return new Credential(broker, answer.task_token, answer);
    },
    whoami: () => broker.whoami(identity),
    canI: (grant) => broker.check(identity, { grant }),
  };
}

/** Opens a task, or joins the one the evidence belongs to, and keeps it alive where heartbeats were asked for. */
export async function createTask(
  broker: BrokerClient,
  identity: Speaker,
  purpose: string | undefined,
  options: TaskOptions,
): Promise<Task> {
  const { onHeartbeatLost, signal, timeoutMs, ...asked } = options;
  const windowMs = options.heartbeat === undefined ? undefined : parseDuration(options.heartbeat);
  if (options.heartbeat !== undefined && (windowMs === undefined || windowMs < 1000))
    throw new TypeError('heartbeat: expected a span such as "1m", one second at least');
  const call = { ...(signal === undefined ? {} : { signal }), ...(timeoutMs === undefined ? {} : { timeoutMs }) };
  const opened = await broker.openTask(identity, { ...(purpose === undefined ? {} : { purpose }), ...withoutUndefined(asked) }, call);
  const everyMs = windowMs === undefined ? paceOf(opened, broker.connection.clock ?? systemClock) : windowMs / 3;
  if (everyMs === undefined) return new Task(broker, opened);
  return new Task(broker, opened, { everyMs, ...(onHeartbeatLost === undefined ? {} : { onLost: onHeartbeatLost }) });
}

/** A task that was joined may want heartbeats though we asked for none: whoever uses it keeps it alive. */
function paceOf({ heartbeat_by: by }: OpenedTaskView, clock: Clock): number | undefined {
  return by === undefined ? undefined : Math.max(1000, (Date.parse(by) - clock()) / 3);
}

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T;
}
