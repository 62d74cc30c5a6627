import { hash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { ROUTES } from "../../../broker/http/routes.ts";
import type { z } from "zod";
import {
  CredentialView,
  DenialRecordView,
  ExplainView,
  LeasePage,
  LeaseView,
  OpenedTaskView,
  ProblemView,
  ReceiptView,
  ReleasedView,
  RevocationPlanView,
  RevocationView,
  TaskPage,
  TaskView,
  TokenView,
  TOKEN_EXCHANGE,
  TOKEN_TYPES,
} from "../../../domain/wire.ts";
import { openShop, type Shop } from "../../support/shop.ts";

let shop: Shop;
beforeAll(async () => {
  shop = await openShop();
});
afterAll(async () => {
  await shop[Symbol.asyncDispose]();
});

interface Asked {
  readonly method?: string;
  readonly token?: string | undefined;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

const ask = (path: string, { method, token, body, headers }: Asked = {}): Promise<Response> =>
  fetch(`${shop.broker.url}${path}`, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

/** The answer, checked against what the wire declares: a member too many is a failure. */
async function read<S extends z.ZodType>(status: number, schema: S, response: Promise<Response>): Promise<z.infer<S>> {
  const answered = await response;
  const body: unknown = await answered.json();
  if (answered.status !== status) throw new Error(`${answered.status}: ${JSON.stringify(body)}`);
  return schema.parse(body);
}
const refused = async (status: number, code: string, response: Promise<Response>): Promise<z.infer<typeof ProblemView>> => {
  const body = await read(status, ProblemView, response);
  expect(body.code).toBe(code);
  return body;
};
const operator = (role: "viewer" | "responder" | "admin"): string => shop.broker.operators[role].reveal();
const openTask = async (claims: Record<string, unknown> = {}, body: object = {}): Promise<z.infer<typeof OpenedTaskView>> =>
  read(201, OpenedTaskView, ask("/v1/tasks", { token: (await shop.evidence(claims)).reveal(), body }));

describe("a task over HTTP", () => {
  it("is opened, gets credentials, beats, is completed, and shows one receipt for ever", async () => {
    const opened = await openTask({}, { purpose: "release 7", heartbeat: "1m" });
    expect(opened.heartbeat_by).toBeDefined();
    const credentials = (body: object): Promise<Response> =>
      ask(`/v1/tasks/${opened.task}/credentials`, { token: opened.task_token, body });
    const first = await read(201, CredentialView, credentials({ grant: "deploy", scope: ["deploy:read"], ttl: "2m" }));
    expect(first).toMatchObject({ grant: "deploy", issuer: "jwt", limited_by: "asked", task_id: opened.task, credential: { type: "jwt" } });
    await refused(403, "scope_too_wide", credentials({ grant: "deploy", scope: ["deploy:admin"] }));
    await refused(403, "not_permitted", credentials({ grant: "nothing" }));

    const lease = await read(200, LeaseView, ask(`/v1/leases/${first.lease_id}`, { token: opened.task_token }));
    expect(lease).toMatchObject({ state: "active", task: opened.task, workload: "github/octo-org/octo-repo" });
    const renewed = await read(
      200,
      CredentialView,
      ask(`/v1/leases/${first.lease_id}/renew`, { token: opened.task_token, body: { ttl: "5m" } }),
    );
    expect(renewed.lease_id).toBe(first.lease_id);
    expect(Date.parse(renewed.expires_at)).toBeGreaterThan(Date.parse(first.expires_at));
    expect((await ask(`/v1/tasks/${opened.task}/heartbeat`, { method: "POST", token: opened.task_token })).status).toBe(200);

    const complete = (): Promise<Response> =>
      ask(`/v1/tasks/${opened.task}/complete`, { token: opened.task_token, body: { outcome: "success" } });
    const receipt = await read(200, ReceiptView, complete());
    expect(receipt).toMatchObject({
      task: opened.task,
      ended_by: "complete",
      settled: true,
      leases: [{ lease_id: first.lease_id, outcome: "revoked" }],
    });
    expect(await read(200, ReceiptView, complete())).toEqual(receipt);
    expect((await read(200, TaskView, ask(`/v1/tasks/${opened.task}`, { token: opened.task_token }))).receipt).toEqual(receipt);
    await refused(409, "task_ended", credentials({ grant: "deploy" }));
    await refused(409, "task_ended", ask(`/v1/tasks/${opened.task}/heartbeat`, { method: "POST", token: opened.task_token }));
  });

  it("is joined by evidence of the same run, and makes nothing twice for one idempotency key", async () => {
    const run = { run_id: "91", run_attempt: "1", check_run_id: "91" };
    const opened = await openTask(run);
    const joined = await read(200, OpenedTaskView, ask("/v1/tasks", { token: (await shop.evidence(run)).reveal(), body: {} }));
    expect(joined.task).toBe(opened.task);
    const once = (body: object): Promise<Response> =>
      ask(`/v1/tasks/${opened.task}/credentials`, { token: opened.task_token, body, headers: { "idempotency-key": '"deploy-1"' } });
    const first = await read(201, CredentialView, once({ grant: "deploy" }));
    expect((await read(201, CredentialView, once({ grant: "deploy" }))).lease_id).toBe(first.lease_id);
    await refused(422, "idempotency_mismatch", once({ grant: "deploy", ttl: "3m" }));
  });

  it("lets a credential show and release its own lease, and no other", async () => {
    const opened = await openTask();
    const make = (): Promise<z.infer<typeof CredentialView>> =>
      read(201, CredentialView, ask(`/v1/tasks/${opened.task}/credentials`, { token: opened.task_token, body: { grant: "deploy" } }));
    const [one, other] = [await make(), await make()];
    const token = String(one.credential["token"]);
    expect((await read(200, LeaseView, ask(`/v1/leases/${one.lease_id}`, { token }))).id).toBe(one.lease_id);
    await refused(404, "not_found", ask(`/v1/leases/${other.lease_id}`, { token }));
    await refused(404, "not_found", ask(`/v1/leases/${other.lease_id}/release`, { token, body: {} }));
    await refused(401, "unauthenticated", ask(`/v1/leases/${one.lease_id}/renew`, { token, body: {} }));
    const released = await read(200, ReleasedView, ask(`/v1/leases/${one.lease_id}/release`, { token, body: {} }));
    expect(released).toMatchObject({ lease: { state: "revoked", ended_by: "released" }, receipt: { outcome: "revoked" } });
  });
});

describe("what belongs to another workload", () => {
  it("looks like nothing at all, on every route that takes an id and a bearer", async () => {
    const mine = await openTask();
    const theirs = await openTask({
      repository_id: "999",
      repository: "evil/corp",
      repository_owner: "evil",
      sub: "repo:evil/corp:ref:refs/heads/main",
    });
    const lease = await read(
      201,
      CredentialView,
      ask(`/v1/tasks/${mine.task}/credentials`, { token: mine.task_token, body: { grant: "deploy" } }),
    );
    const bodies: Readonly<Record<string, object>> = { credentials: { grant: "deploy" }, complete: { outcome: "success" } };
    const routes = ROUTES.filter(({ path, access }) => path.includes("{id}") && (access === "bearer" || access === "holder"));
    expect(routes.length).toBeGreaterThanOrEqual(7);
    for (const { method, path } of routes) {
      const last = path.split("/").at(-1) ?? "";
      const known = path.startsWith("/v1/tasks") ? mine.task : lease.lease_id;
      const unknown = `${known.slice(0, -4)}0000`;
      const answer = async (id: string): Promise<unknown> => {
        const body = method === "POST" ? { body: bodies[last] ?? {} } : {};
        const response = await ask(path.replace("{id}", id), { method, token: theirs.task_token, ...body });
        return { status: response.status, ...((await response.json()) as object), trace_id: "", instance: "" };
      };
      const foreign = await answer(known);
      expect({ path, foreign }).toMatchObject({ foreign: { status: 404, code: "not_found" } });
      expect({ path, unknown: await answer(unknown) }).toEqual({ path, unknown: foreign });
    }
  });
});

describe("an operator over HTTP", () => {
  it("finds whose a leaked token is, sees what revoking would do, and kills it", async () => {
    const form = new URLSearchParams({
      grant_type: TOKEN_EXCHANGE,
      subject_token: (await shop.evidence()).reveal(),
      subject_token_type: TOKEN_TYPES.jwt,
      scope: "grant:deploy",
    });
    const issued = await read(200, TokenView, fetch(`${shop.broker.url}/oauth2/token`, { method: "POST", body: form }));
    const found = await read(
      200,
      LeasePage,
      ask(`/v1/leases?credential_sha256=${hash("sha256", issued.access_token, "hex")}`, { token: operator("viewer") }),
    );
    expect(found.items.map(({ id }) => id)).toEqual([issued.lease_id]);

    const body = { selector: { credential: issued.access_token }, reason: "leaked in a log" };
    const plan = await read(
      200,
      RevocationPlanView,
      ask("/v1/revocations", { token: operator("responder"), body: { ...body, dry_run: true } }),
    );
    expect(plan).toMatchObject({ matched: 1, leases: [{ id: issued.lease_id }] });
    expect(JSON.stringify(plan)).not.toContain(issued.access_token);
    const started = await read(202, RevocationView, ask("/v1/revocations", { token: operator("responder"), body }));
    expect(started.in_force_at).not.toBeNull();
    expect(JSON.stringify(started)).not.toContain(issued.access_token);
    expect((await read(200, RevocationView, ask(`/v1/revocations/${started.id}`, { token: operator("viewer") }))).id).toBe(started.id);
    expect((await read(200, LeaseView, ask(`/v1/leases/${issued.lease_id}`, { token: operator("viewer") }))).state).toBe("revoked");
  });

  it("sees the reasoning behind a denial that its caller quotes", async () => {
    const opened = await openTask();
    const denied = await refused(
      403,
      "not_permitted",
      ask(`/v1/tasks/${opened.task}/credentials`, { token: opened.task_token, body: { grant: "nothing" } }),
    );
    const denial = await read(200, DenialRecordView, ask(`/v1/denials/${denied.denial_id}`, { token: operator("viewer") }));
    expect(denial).toMatchObject({ id: denied.denial_id, code: "not_permitted", grant: "nothing", trace_id: denied.trace_id });
    const explained = await read(
      200,
      ExplainView,
      ask("/v1/policy/explain", { token: operator("viewer"), body: { denial_id: denied.denial_id } }),
    );
    expect(explained).toMatchObject({ allowed: false, trace: { grant_exists: false } });
  });

  it("pages through tasks to the end without seeing one twice", async () => {
    const seen: string[] = [];
    for (let cursor: string | null = ""; cursor !== null;) {
      const page: z.infer<typeof TaskPage> = await read(
        200,
        TaskPage,
        ask(`/v1/tasks?limit=2${cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`}`, { token: operator("viewer") }),
      );
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.next_cursor;
    }
    expect(seen.length).toBeGreaterThan(2);
    expect(new Set(seen).size).toBe(seen.length);
  });

  it.each(["cursor=nonsense", "cursor=%7B%22bucket%22%3A99%7D", "cursor=999999"])(
    "gets a clear answer to a cursor that no list gave out: %s",
    async (query) => {
      for (const path of ["/v1/tasks", "/v1/leases", "/v1/revocations", "/v1/audit", "/v1/locks", "/v1/keys"]) {
        const { status } = await ask(`${path}?${query}`, { token: operator("viewer") });
        expect(`${path} ${status}`).toMatch(/ (?:200|400)$/);
      }
    },
  );

  it("reads every GET of the table with a viewer's token, each as declared", async () => {
    for (const route of ROUTES.filter(
      ({ method, path, access }) => method === "GET" && access === "viewer" && !path.includes("{") && path !== "/v1/events",
    )) {
      const schema = route.answers[200];
      if (schema !== null && schema !== undefined) await read(200, schema, ask(route.path, { token: operator("viewer") }));
    }
  });
});
