import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { ERROR_ANSWERS } from "../../../broker/http/error-answers.ts";
import { ERROR_CODES, StintError } from "../../../domain/errors.ts";
import { newId } from "../../../domain/ids.ts";
import { OAuthErrorView, ProblemView } from "../../../domain/wire.ts";
import { startHttp, type TestHttp } from "../../support/http.ts";
import { TASK_ID, TASK_TOKEN } from "../../support/memory-services.ts";

const denial = newId("den", 0);
const revocation = newId("rev", 0);
const lease = newId("lease", 0);

describe("an error", () => {
  let http: TestHttp;
  let thrown: unknown;
  beforeAll(async () => {
    const refuse = async (): Promise<never> => {
      throw thrown;
    };
    http = await startHttp({
      tokens: { revoke: refuse },
      tasks: { open: refuse, get: refuse, list: refuse, credential: refuse, heartbeat: refuse, complete: refuse },
    });
  });
  afterAll(() => http.close());
  const atOAuth = (): Promise<Response> => http.form("/oauth2/revoke", { token: "x" });
  const elsewhere = (): Promise<Response> => http.fetch(`/v1/tasks/${TASK_ID}?`, { headers: { authorization: `Bearer ${TASK_TOKEN}` } });

  it.each([
    [{ purpos: "x" }, 'unknown member: "purpos"'],
    [{ purpose: 1 }, "purpose: expected string"],
    [{ parent: "task_x" }, "parent: has another form than expected"],
    [[], "expected object"],
  ])("says in words what is wrong with %j", async (body, detail) => {
    const authorization = `Bearer ${TASK_TOKEN}`;
    const headers = { authorization, "content-type": "application/json" };
    const response = await http.fetch("/v1/tasks", { method: "POST", headers, body: JSON.stringify(body) });
    expect([response.status, await response.json()]).toMatchObject([400, { code: "invalid_request", detail }]);
  });

  it("says which member is missing, and what a choice is between", async () => {
    const missing = await http.form("/oauth2/revoke", { other: "x" });
    expect(await missing.json()).toMatchObject({ error: "invalid_request", error_description: "token: is missing" });
    const headers = { authorization: `Bearer ${TASK_TOKEN}`, "content-type": "application/json" };
    const body = JSON.stringify({ outcome: "x" });
    const response = await http.fetch(`/v1/tasks/${TASK_ID}/complete`, { method: "POST", headers, body });
    expect(await response.json()).toMatchObject({ detail: 'outcome: expected one of "success", "failure", "cancelled"' });
  });

  it.each(ERROR_CODES)("%s has one shape at /oauth2 and another elsewhere, with the same code", async (code) => {
    thrown = new StintError(code, 'no "quotes" \\ or ümlauts\nin OAuth', {
      denialId: denial,
      hint: "do this",
      failedClaims: ["ref"],
      yours: { ref: "refs/heads/x" },
      retryAfterSeconds: 2.1,
      leaseId: lease,
      revocationId: revocation,
      candidates: ["a", "b"],
    });
    const answer = ERROR_ANSWERS[code];
    const oauth = await atOAuth();
    expect(oauth.status).toBe(answer.oauthStatus ?? 400);
    expect(oauth.headers.get("content-type")).toBe("application/json");
    const oauthBody = OAuthErrorView.parse(await oauth.json());
    expect(oauthBody).toMatchObject({
      error: answer.oauth,
      code,
      denial_id: denial,
      retryable: answer.retryable,
      failed_claims: ["ref"],
      candidates: ["a", "b"],
    });
    if (code !== "not_found") expect(oauthBody.error_description).toBe("no 'quotes' / or ?mlauts in OAuth");

    const other = await elsewhere();
    expect(other.status).toBe(answer.status);
    expect(other.headers.get("content-type")).toBe("application/problem+json");
    expect(other.headers.get("cache-control")).toBe("no-store");
    const problem = ProblemView.parse(await other.json());
    expect(problem).toMatchObject({
      type: `http://127.0.0.1:8420/problems/${code}`,
      status: answer.status,
      code,
      instance: `/v1/tasks/${TASK_ID}`,
      lease_id: lease,
      revocation_id: revocation,
      hint: "do this",
    });
    expect(other.headers.get("x-stint-trace-id")).toBe(problem.trace_id);
    expect(other.headers.get("retry-after")).toBe(answer.status === 429 || answer.status === 503 ? "3" : null);
    expect(other.headers.get("www-authenticate") === null).toBe(answer.status !== 401);
  });

  it("that nobody expected says nothing of itself, but is told to the log", async () => {
    thrown = new TypeError("redis://user:hunter2@10.0.0.1 exploded");
    const response = await elsewhere();
    const text = await response.text();
    expect(response.status).toBe(500);
    expect(ProblemView.parse(JSON.parse(text))).toMatchObject({ code: "server_error", detail: "something went wrong inside the broker" });
    expect(text).not.toMatch(/hunter2|TypeError|at /);
    expect(http.served.at(-1)?.cause).toBe(thrown);
    expect(((await (await atOAuth()).json()) as { error: string }).error).toBe("server_error");
  });

  it("of an unknown and of a foreign id is the same to the byte, but for its trace", async () => {
    thrown = new StintError("not_found", "task_... belongs to somebody else");
    const foreign = (await (await elsewhere()).text()).replace(/[0-9a-f]{32}/, "");
    thrown = new StintError("not_found", "no such task");
    expect((await (await elsewhere()).text()).replace(/[0-9a-f]{32}/, "")).toBe(foreign);
    const malformed = await http.fetch("/v1/tasks/whatever", { headers: { authorization: `Bearer ${TASK_TOKEN}` } });
    expect((await malformed.text()).replace(/[0-9a-f]{32}/, "").replace("whatever", TASK_ID)).toBe(foreign);
  });
});

describe("the page of a code", () => {
  let http: TestHttp;
  beforeAll(async () => void (http = await startHttp()));
  afterAll(() => http.close());

  it.each(ERROR_CODES)("%s says what it means and what to do, to people and to programs", async (code) => {
    const json = await http.fetch(`/problems/${code}`);
    expect(json.headers.get("content-type")).toBe("application/json");
    const body = (await json.json()) as { code: string; meaning: string; remedy: string };
    expect(body.code).toBe(code);
    const html = await http.fetch(`/problems/${code}`, { headers: { accept: "text/html,application/xhtml+xml" } });
    expect(html.headers.get("content-type")).toBe("text/html; charset=utf-8");
    const text = await html.text();
    expect(text).toContain(body.meaning);
    expect(text).toContain(body.remedy);
  });

  it.each(["nope", "__proto__", "constructor", "%3Cscript%3E"])("of no code is a 404: %s", async (code) => {
    const response = await http.fetch(`/problems/${code}`, { headers: { accept: "text/html" } });
    expect(response.status).toBe(404);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
  });
});
