import type {
  AuditPage,
  AuditQuery,
  CheckBody,
  CheckView,
  DenialRecordView,
  ExplainBody,
  ExplainView,
  HoldView,
  KeyBody,
  FindingsView,
  KeyPage,
  KeysChangedView,
  ReconcileBody,
  RotateTargetBody,
  TargetPage,
  TargetView,
  LeasePage,
  LeaseQuery,
  LeaseView,
  LockBody,
  LockPage,
  LockView,
  RevocationBody,
  RevocationPlanView,
  RevocationView,
  SimulateBody,
  SimulateView,
  TaskPage,
  TaskQuery,
  VerifierPage,
  WhoamiView,
} from "../domain/wire.ts";
import { segment, type CallOptions } from "./broker-client.ts";
import { call, type Call, type Connection } from "./call.ts";

type Query = NonNullable<Call["query"]>;

/** The broker's face for operators. `token` is an operator token; what its role does not reach is a `DeniedError`. */
export class OperatorClient {
  readonly connection: Connection;
  readonly #token: string;
  constructor(connection: Connection, token: string) {
    this.connection = connection;
    this.#token = token;
  }

  whoami = (): Promise<WhoamiView> => this.#get("/v1/whoami");
  leases = (query: LeaseQuery): Promise<LeasePage> => this.#get("/v1/leases", query);
  lease = (id: string): Promise<LeaseView> => this.#get(`/v1/leases/${segment(id)}`);
  tasks = (query: TaskQuery): Promise<TaskPage> => this.#get("/v1/tasks", query);
  /** An admin declares a lease over that could not be revoked; it stays listed as `forced`. */
  close = (id: string, reason: string): Promise<LeaseView> => this.#post(`/v1/leases/${segment(id)}/close`, { reason });

  /** What a revocation would end, without ending it. */
  plan = (selector: RevocationBody["selector"], reason: string): Promise<RevocationPlanView> =>
    this.#post("/v1/revocations", { selector, reason, dry_run: true });
  revoke = (body: RevocationBody): Promise<RevocationView> => this.#post("/v1/revocations", body);
  revocation = (id: string): Promise<RevocationView> => this.#get(`/v1/revocations/${segment(id)}`);

  locks = (query: { readonly cursor?: string } = {}): Promise<LockPage> => this.#get("/v1/locks", query);
  lock = (body: LockBody): Promise<LockView> => this.#post("/v1/locks", body);
  unlock = (id: string): Promise<unknown> => this.#send({ method: "DELETE", path: `/v1/locks/${segment(id)}` });

  audit = (query: AuditQuery): Promise<AuditPage> => this.#get("/v1/audit", query);
  denial = (id: string): Promise<DenialRecordView> => this.#get(`/v1/denials/${segment(id)}`);
  check = (body: CheckBody): Promise<CheckView> => this.#post("/v1/policy/check", body);
  explain = (body: ExplainBody): Promise<ExplainView> => this.#post("/v1/policy/explain", body);
  simulate = (body: SimulateBody): Promise<SimulateView> => this.#post("/v1/policy/simulate", body, { timeoutMs: 60_000 });

  hold = (): Promise<HoldView> => this.#get("/v1/hold");
  clearHold = (reason: string): Promise<HoldView> => this.#post("/v1/hold", { action: "clear", reason });
  targets = (): Promise<TargetPage> => this.#get("/v1/targets");
  reconcileTarget = (name: string, body: ReconcileBody): Promise<FindingsView> =>
    this.#post(`/v1/targets/${segment(name)}/reconcile`, body, { timeoutMs: 600_000 });
  rotateTarget = (name: string, body: RotateTargetBody): Promise<TargetView> =>
    this.#post(`/v1/targets/${segment(name)}/rotate`, body, { timeoutMs: 60_000 });

  verifiers = (): Promise<VerifierPage> => this.#get("/v1/verifiers");
  keys = (): Promise<KeyPage> => this.#get("/v1/keys");
  changeKeys = (body: KeyBody): Promise<KeysChangedView> => this.#post("/v1/keys", body);

  async #send<T>(request: Call): Promise<T> {
    return (await call<T>(this.connection, { ...request, bearer: async () => this.#token })).body;
  }
  #get<T>(path: string, query?: Query): Promise<T> {
    return this.#send({ method: "GET", path, query });
  }
  #post<T>(path: string, json: unknown, options: CallOptions = {}): Promise<T> {
    return this.#send({ ...options, method: "POST", path, json });
  }
}
