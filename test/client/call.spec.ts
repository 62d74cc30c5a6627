import { describe, expect, it } from "@jest/globals";
import { BrokerClient } from "../../client/broker-client.ts";
import { call } from "../../client/call.ts";
import { BrokerError, DeniedError, GoneError, IdentityError, LockedError, UnreachableError } from "../../client/errors.ts";
import { fixedIdentity } from "../../client/identity.ts";
import { recordingServer, type Reply } from "./recording-server.ts";
import { EVIDENCE } from "./toy-broker.ts";

const problem = (status: number, code: string, more: object = {}): Reply => ({
  status,
  body: { code, detail: `because ${code}`, ...more },
});

async function failureOf(promise: Promise<unknown>): Promise<BrokerError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof BrokerError) return error;
  throw new Error(`expected a BrokerError, got ${String(error)}`);
}

describe("a call to the broker", () => {
  it("is repeated after 503 with the same idempotency key, and then succeeds", async () => {
    await using server = await recordingServer((_, count) => (count < 3 ? problem(503, "store_unavailable") : { body: { fine: true } }));
    const answer = await call({ url: server.url }, { method: "POST", path: "/v1/tasks", json: {} });
    expect(answer.body).toEqual({ fine: true });
    const keys = server.received.map((request) => request.headers["idempotency-key"]);
    expect(keys).toHaveLength(3);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("is repeated when the connection is lost", async () => {
    await using server = await recordingServer((_, count) => (count === 1 ? { drop: true } : { body: {} }));
    await call({ url: server.url }, { method: "GET", path: "/v1/whoami" });
    expect(server.received).toHaveLength(2);
  });

  it("waits as long as Retry-After says", async () => {
    await using server = await recordingServer((_, count) =>
      count === 1 ? { ...problem(429, "too_many_requests"), headers: { "retry-after": "1" } } : { body: {} },
    );
    const pauses: number[] = [];
    await call({ url: server.url, onRetry: (_, pause) => pauses.push(pause) }, { method: "GET", path: "/" });
    expect(pauses).toEqual([1000]);
  });

  it("does not wait longer than its own time", async () => {
    await using server = await recordingServer(() => ({ ...problem(429, "limit_rate"), headers: { "retry-after": "3600" } }));
    const error = await failureOf(call({ url: server.url }, { method: "GET", path: "/" }));
    expect([error.code, error.retryAfterMs, server.received.length]).toEqual(["limit_rate", 3_600_000, 1]);
    expect(error).toBeInstanceOf(DeniedError);
  });

  it.each([400, 401, 403, 404, 409, 422])("is not repeated after %d: the broker has decided", async (status) => {
    await using server = await recordingServer(() => problem(status, "not_permitted"));
    await failureOf(call({ url: server.url }, { method: "POST", path: "/" }));
    expect(server.received).toHaveLength(1);
  });

  it("does not start a second revocation when the first is still being written", async () => {
    await using server = await recordingServer(() => problem(503, "revocation_pending", { revocation_id: "rev_1" }));
    const error = await failureOf(call({ url: server.url }, { method: "POST", path: "/v1/revocations" }));
    expect([error.body.revocation_id, server.received.length]).toEqual(["rev_1", 1]);
  });

  it("says that nobody answered, and where", async () => {
    await using server = await recordingServer(() => undefined);
    const { url } = server;
    await server[Symbol.asyncDispose]();
    const error = await failureOf(call({ url, attempts: 1 }, { method: "GET", path: "/" }));
    expect(error).toBeInstanceOf(UnreachableError);
    expect([error.code, error.message, error.retryable]).toEqual(["unreachable", `${url} refused the connection`, true]);
  });

  it("gives up on a broker that never answers", async () => {
    await using server = await recordingServer(() => ({ hang: true }));
    const error = await failureOf(call({ url: server.url, timeoutMs: 150 }, { method: "GET", path: "/" }));
    expect([error.name, error.message]).toEqual(["UnreachableError", `${server.url} did not answer in time`]);
  });

  it("takes any span as its time", async () => {
    await using server = await recordingServer(() => ({ body: { fine: true } }));
    expect((await call({ url: server.url }, { method: "GET", path: "/", timeoutMs: 1000 / 3 })).body).toEqual({ fine: true });
  });

  it("follows no redirect: a bearer token goes to one address only", async () => {
    await using elsewhere = await recordingServer(() => ({ body: {} }));
    await using server = await recordingServer(() => ({ status: 307, headers: { location: elsewhere.url } }));
    const error = await failureOf(call({ url: server.url, attempts: 1 }, { method: "GET", path: "/", bearer: async () => "token" }));
    expect(error.message).toContain("redirect");
    expect(elsewhere.received).toHaveLength(0);
  });

  it("knows what is no broker", async () => {
    await using server = await recordingServer(() => ({ body: "<html>hello</html>" }));
    const error = await failureOf(call({ url: server.url }, { method: "GET", path: "/" }));
    expect(error.code).toBe("not_a_broker");
  });
});

describe("an error answer", () => {
  it.each([
    ["not_permitted", 403, DeniedError],
    ["limit_active", 429, DeniedError],
    ["insufficient_role", 403, DeniedError],
    ["locked", 403, LockedError],
    ["on_hold", 503, LockedError],
    ["token_expired", 401, IdentityError],
    ["unauthenticated", 401, IdentityError],
    ["not_found", 404, GoneError],
    ["task_ended", 409, GoneError],
    ["store_unavailable", 503, UnreachableError],
  ])("with code %s is of its kind", async (code, status, kind) => {
    await using server = await recordingServer(() => problem(status, code, { denial_id: "den_1", hint: "do this", trace_id: "t" }));
    const error = await failureOf(call({ url: server.url, attempts: 1 }, { method: "GET", path: "/" }));
    expect(error).toBeInstanceOf(kind);
    expect([error.code, error.status, error.denialId, error.hint, error.traceId]).toEqual([code, status, "den_1", "do this", "t"]);
  });

  it("of the token endpoint carries our code beside the OAuth one", async () => {
    await using server = await recordingServer(() => ({
      status: 400,
      body: {
        error: "invalid_target",
        error_description: "not met",
        code: "claim_mismatch",
        failed_claims: ["environment"],
        yours: { environment: null },
      },
    }));
    const error = await failureOf(new BrokerClient({ url: server.url }).exchange(EVIDENCE, { grant: "deploy-prod" }));
    expect(error).toBeInstanceOf(DeniedError);
    expect(error).toMatchObject({
      code: "claim_mismatch",
      message: "not met",
      failedClaims: ["environment"],
      yours: { environment: null },
    });
  });

  it("that says it is not offered is not asked for again", async () => {
    await using server = await recordingServer(() => ({ status: 501, body: { code: "not_implemented", detail: "cannot be listed" } }));
    const error = await failureOf(call({ url: server.url }, { method: "GET", path: "/" }));
    expect([error.name, error.code, error.retryable]).toEqual(["InvalidRequestError", "not_implemented", false]);
    expect(server.received).toHaveLength(1);
  });

  it("without a body is told by its status", async () => {
    await using server = await recordingServer(() => ({ status: 502, body: "bad gateway" }));
    const error = await failureOf(call({ url: server.url, attempts: 1 }, { method: "GET", path: "/" }));
    expect([error.name, error.code]).toEqual(["UnreachableError", "http_502"]);
  });
});

describe("evidence", () => {
  it("is the same at every attempt of one request, because the idempotency key is tied to it", async () => {
    await using server = await recordingServer((_, count) => (count === 1 ? { drop: true } : { status: 201, body: { task: "task_1" } }));
    let made = 0;
    const identity = { source: "test", token: async () => `${EVIDENCE}${(made += 1)}` };
    await new BrokerClient({ url: server.url }).openTask(identity, {});
    expect(server.received.map((request) => request.headers.authorization)).toEqual([`Bearer ${EVIDENCE}1`, `Bearer ${EVIDENCE}1`]);
    await new BrokerClient({ url: server.url }).openTask(identity, {});
    expect(server.received[2]?.headers.authorization).toBe(`Bearer ${EVIDENCE}2`);
  });

  it("is fetched anew when it is about to end before it is sent again", async () => {
    const now = 1_700_000_000_000;
    const ending = (at: number): string => `e30.${Buffer.from(JSON.stringify({ exp: at / 1000 })).toString("base64url")}.c2ln`;
    await using server = await recordingServer((_, count) => (count === 1 ? problem(503, "store_unavailable") : { body: {} }));
    const tokens = [ending(now + 10_000), ending(now + 300_000)];
    const identity = { source: "test", token: async () => tokens.shift() ?? "" };
    await new BrokerClient({ url: server.url, clock: () => now }).openTask(identity, {});
    expect(tokens).toHaveLength(0);
    expect(new Set(server.received.map((request) => request.headers.authorization)).size).toBe(2);
  });

  it("that is no token is never sent", async () => {
    await using server = await recordingServer(() => ({ body: {} }));
    const error = await failureOf(new BrokerClient({ url: server.url }).openTask(fixedIdentity("hunter2", "STINT_ID_TOKEN_FILE"), {}));
    expect([error.code, error.message]).toEqual(["no_identity", "STINT_ID_TOKEN_FILE does not hold a token"]);
    expect(server.received).toHaveLength(0);
  });
});

describe("the exchange", () => {
  it("asks as RFC 8693 says, in one form", async () => {
    await using server = await recordingServer(() => ({ body: {} }));
    await new BrokerClient({ url: server.url }).exchange(EVIDENCE, {
      grant: "deploy-prod",
      scope: ["deploy:write"],
      ttl: "5m",
      purpose: "release",
    });
    const [request] = server.received;
    expect([request?.path, request?.headers["content-type"], request?.headers.authorization]).toEqual([
      "/oauth2/token",
      "application/x-www-form-urlencoded",
      undefined,
    ]);
    expect(Object.fromEntries(new URLSearchParams(request?.body))).toEqual({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token: EVIDENCE,
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      scope: "grant:deploy-prod deploy:write",
      ttl: "5m",
      purpose: "release",
    });
  });
});
