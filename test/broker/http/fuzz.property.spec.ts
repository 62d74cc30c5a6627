import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { ROUTES } from "../../../broker/http/routes.ts";
import { OAuthErrorView, ProblemView, TOKEN_EXCHANGE, TOKEN_TYPES } from "../../../domain/wire.ts";
import { startHttp, type TestHttp } from "../../support/http.ts";
import { CREDENTIAL, EVIDENCE, LEASE_ID, OPERATORS, TASK_ID, TASK_TOKEN, VERIFIER } from "../../support/memory-services.ts";

let http: TestHttp;
beforeAll(async () => {
  http = await startHttp();
});
afterAll(() => http.close());

const RUNS = { numRuns: 150 };
const nasty = fc.constantFrom(
  "",
  "\0",
  "'",
  '"',
  "\\",
  "../../etc/passwd",
  "${7*7}",
  "{{7*7}}",
  "<script>",
  "%00",
  "%zz",
  "\u202e",
  "\ud800",
  "__proto__",
  "constructor",
  "1e999",
  "-0",
  "NaN",
  "null",
  "\r\nX: y",
  "grant:",
  "grant:*",
  "🂡".repeat(50),
  "a".repeat(5000),
);
const anyText = fc.oneof(
  nasty,
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.constantFrom(EVIDENCE, CREDENTIAL, TASK_TOKEN, TOKEN_EXCHANGE, TOKEN_TYPES.jwt, "deploy-prod", "10m", "success"),
);
const ascii = fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)), maxLength: 80 });
const posts = ROUTES.filter(({ method }) => method === "POST");
const forms = posts.filter(({ encoding }) => encoding === "form");
const jsons = posts.filter(({ encoding }) => encoding !== "form");
const gets = ROUTES.filter(({ method, path }) => method === "GET" && path !== "/v1/events");
/** Lone surrogates become U+FFFD: what UTF-8 cannot carry never arrives. */
const wellFormed = (text: string): string => Buffer.from(text).toString();
const pathOf = (template: string, id: string): string => template.replace("{id}", id).replace("{code}", id);
const ids = fc.oneof(
  fc.constantFrom(LEASE_ID, TASK_ID),
  anyText.map((text) => encodeURIComponent(wellFormed(text))),
);

/** Whatever comes in: an answer below 500, of the right shape, with no stack in it. */
async function expectClear(response: Response): Promise<void> {
  const text = await response.text();
  expect(response.status).toBeLessThan(500);
  expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  if (response.status < 400) return;
  expect(text).not.toMatch(/\bat .+\.[jt]s:\d+/);
  if (new URL(response.url).pathname.startsWith("/oauth2/")) OAuthErrorView.parse(JSON.parse(text));
  else ProblemView.parse(JSON.parse(text));
}

describe("whatever is sent", () => {
  it("as a form to /oauth2 gets a clear answer", async () => {
    const names = fc.oneof(
      fc.constantFrom(
        "grant_type",
        "subject_token",
        "subject_token_type",
        "scope",
        "audience",
        "resource",
        "ttl",
        "purpose",
        "token",
        "client_id",
        "client_secret",
        "actor_token",
      ),
      anyText,
    );
    const pairs = fc.array(fc.tuple(names, anyText), { maxLength: 12 });
    const auth = fc.constantFrom(undefined, `Bearer ${VERIFIER.name}:${VERIFIER.key}`, "Basic !!!", "Bearer");
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...forms), pairs, auth, async ({ path }, form, authorization) => {
        http.clock.advance({ minutes: 2 });
        const body = form
          .map(([name, value]) => `${encodeURIComponent(wellFormed(name))}=${encodeURIComponent(wellFormed(value))}`)
          .join("&");
        await expectClear(await http.form(path, body, authorization === undefined ? {} : { authorization }));
      }),
      RUNS,
    );
  });

  it("as bytes to any POST gets a clear answer", async () => {
    const types = fc.constantFrom(
      "application/json",
      "application/x-www-form-urlencoded",
      "text/plain",
      "application/json; charset=latin1",
      "multipart/form-data; boundary=x",
      ";",
      "*/*",
    );
    const tokens = fc.constantFrom(OPERATORS.admin, EVIDENCE, TASK_TOKEN, "x");
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...posts),
        fc.uint8Array({ maxLength: 300 }),
        types,
        tokens,
        ids,
        async ({ path }, body, type, token, id) => {
          http.clock.advance({ minutes: 2 });
          const response = await http.fetch(pathOf(path, id), {
            method: "POST",
            body: Buffer.from(body),
            headers: { "content-type": type, authorization: `Bearer ${token}` },
          });
          await expectClear(response);
        },
      ),
      RUNS,
    );
  });

  it("as JSON to any POST gets a clear answer", async () => {
    const member = fc.oneof(
      fc.constantFrom(
        "selector",
        "reason",
        "ttl",
        "grant",
        "scope",
        "outcome",
        "purpose",
        "claims",
        "trust",
        "action",
        "kid",
        "files",
        "lock",
        "all",
        "workload",
      ),
      anyText,
    );
    const value = fc.letrec((tie) => ({
      leaf: fc.oneof(anyText, fc.double(), fc.integer(), fc.boolean(), fc.constant(null)),
      tree: fc.oneof(
        { maxDepth: 3 },
        tie("leaf"),
        fc.array(tie("tree"), { maxLength: 4 }),
        fc.dictionary(member, tie("tree"), { maxKeys: 5 }),
      ),
    })).tree;
    const key = fc.option(ascii, { nil: undefined });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...jsons),
        fc.dictionary(member, value, { maxKeys: 6 }),
        fc.constantFrom(OPERATORS.admin, EVIDENCE, TASK_TOKEN),
        ids,
        key,
        async ({ path }, body, token, id, idempotency) => {
          const headers = { authorization: `Bearer ${token}`, ...(idempotency === undefined ? {} : { "idempotency-key": idempotency }) };
          http.clock.advance({ minutes: 2 });
          await expectClear(await http.json(pathOf(path, id), body, headers));
        },
      ),
      RUNS,
    );
    expect(({} as Record<string, unknown>)["admin"]).toBeUndefined();
  });

  it("as a path or a query to any GET gets a clear answer", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...gets),
        ids,
        fc.array(fc.tuple(anyText, anyText), { maxLength: 4 }),
        async ({ path }, id, query) => {
          const text = query
            .map(([name, value]) => `${encodeURIComponent(wellFormed(name))}=${encodeURIComponent(wellFormed(value))}`)
            .join("&");
          await expectClear(
            await http.fetch(`${pathOf(path, id)}?${text}`, {
              headers: { authorization: `Bearer ${OPERATORS.admin}`, accept: "text/html" },
            }),
          );
        },
      ),
      RUNS,
    );
  });

  it("in headers gets a clear answer", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...gets), ascii, ascii, ascii, async ({ path }, authorization, traceparent, ifNoneMatch) => {
        http.clock.advance({ minutes: 2 });
        await expectClear(
          await http.fetch(pathOf(path, TASK_ID), { headers: { authorization, traceparent, "if-none-match": ifNoneMatch } }),
        );
      }),
      RUNS,
    );
  });
});
