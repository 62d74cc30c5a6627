import { createSecretKey, randomBytes, type KeyObject } from "node:crypto";
import { describe, expect, it } from "@jest/globals";
import { jwtVerify, SignJWT } from "jose";
import { createTaskTokens, MAX_CARRIED_CLAIMS, requireCarriable } from "../../../broker/tasks/token.ts";
import { looksLikeTaskToken, taskSignatures, type TaskKeys } from "../../../broker/tasks/signature.ts";
import { ownSignatures } from "../../../broker/tokens/own-signatures.ts";
import { newId } from "../../../domain/ids.ts";
import { Secret } from "../../../domain/secret.ts";
import type { Task } from "../../../domain/task.ts";
import { fakeClock } from "../../support/clock.ts";
import { ownKeys } from "../../support/own-keys.ts";

const url = "https://stint.test";

/** One secret under one name. */
function taskKeys(): TaskKeys & { readonly kid: string; readonly secret: KeyObject } {
  const [kid, secret] = [randomBytes(32).toString("base64url"), createSecretKey(randomBytes(32))];
  return { kid, secret, currentTaskKey: async () => ({ kid, secret }), taskKey: async (name) => (name === kid ? secret : undefined) };
}

const principal = {
  trust: "github",
  subject: "github:1",
  workload: "github/acme/shop",
  claims: { repository_id: "1", deep: { list: [1, "two"] } },
};

describe("a task token", () => {
  const clock = fakeClock();
  const task: Task = {
    id: newId("task", clock()),
    state: "open",
    subject: "github:1",
    workload: "github/acme/shop",
    trust: "github",
    value: undefined,
    parent: undefined,
    purpose: undefined,
    openedAt: clock(),
    expiresAt: clock() + 60_500,
    heartbeatMs: undefined,
    heartbeatBy: undefined,
    endedAt: undefined,
    endedBy: undefined,
    outcome: undefined,
  };
  const keys = taskKeys();
  const tokens = createTaskTokens({ url, signatures: taskSignatures(keys), clock });
  const forged = async (change: Readonly<Record<string, unknown>>): Promise<Secret> => {
    const claims = {
      iss: url,
      aud: url,
      sub: "github:1",
      iat: 1,
      exp: Math.floor(task.expiresAt / 1000),
      task_id: task.id,
      trust: "github",
      workload: "w",
      claims: {},
      ...change,
    };
    return new Secret(await taskSignatures(keys).sign(JSON.stringify(claims)));
  };

  it("carries who opened the task, and ends with it", async () => {
    const token = await tokens.sign(task, principal);
    const holder = await tokens.verify(token);
    expect(holder).toMatchObject({
      taskId: task.id,
      parent: undefined,
      principal: { ...principal, taskId: task.id, evidence: { maxUses: undefined } },
    });
    expect(holder?.expiresAt).toBe(Math.floor(task.expiresAt / 1000) * 1000);
    expect(looksLikeTaskToken(token.reveal())).toBe(true);
  });

  it("is over when its task is, and then only good for reading what became of it", async () => {
    const token = await tokens.sign({ ...task, expiresAt: clock() - 1 }, principal);
    expect(await tokens.verify(token)).toBeUndefined();
    expect(await tokens.verifyEnded(token)).toMatchObject({ taskId: task.id });
  });

  it.each([
    ["another issuer", { iss: "https://else.test" }],
    ["another audience", { aud: "https://deploy.test" }],
    ["a list of audiences", { aud: [url] }],
    ["an id that is none", { task_id: "task_x" }],
    ["claims that are none", { claims: ["x"] }],
    ["no end", { exp: undefined }],
    ["an end that never comes", { exp: 1e300 }],
  ])("is not %s", async (_name, change) => {
    expect(await tokens.verifyEnded(await forged(change))).toBeUndefined();
  });

  it("is not one that another broker signed, nor one whose words were changed", async () => {
    const other = createTaskTokens({ url, signatures: taskSignatures(taskKeys()), clock });
    expect(await tokens.verify(await other.sign(task, principal))).toBeUndefined();
    const [head, , signature] = (await tokens.sign(task, principal)).reveal().split(".");
    const body = Buffer.from(JSON.stringify({ iss: url, aud: url, sub: "github:2" })).toString("base64url");
    expect(await tokens.verify(new Secret(`${head}.${body}.${signature}`))).toBeUndefined();
    for (const nonsense of ["", ".", "..", "a.b.c", "e30.e30.e30", "x".repeat(20_000)])
      expect(await tokens.verify(new Secret(nonsense))).toBeUndefined();
  });
});

describe("the signature of a task token", () => {
  const payload = { iss: url, aud: url, exp: 4_000_000_000, claims: { sub: "ä" } };
  const text = JSON.stringify(payload);
  const [keys, others] = [taskKeys(), taskKeys()];
  const signatures = taskSignatures(keys);
  const right = { alg: "HS256", typ: "task+jwt", kid: keys.kid };
  const signed = (header: { readonly alg: string; readonly [more: string]: unknown }, by: KeyObject | Uint8Array): Promise<string> =>
    new SignJWT(payload).setProtectedHeader(header).sign(by);

  it("is the HS256 that jose makes and checks", async () => {
    const read = await jwtVerify(await signatures.sign(text), keys.secret, { typ: "task+jwt", algorithms: ["HS256"] });
    expect(read.payload).toEqual(payload);
    expect(read.protectedHeader).toEqual(right);
    expect(await signatures.verify(await signed(right, keys.secret))).toEqual(payload);
  });

  it("ends with the signing key whose name it bears", async () => {
    const token = await signatures.sign(text);
    const rotated: TaskKeys = { ...others, taskKey: async (kid) => (await others.taskKey(kid)) ?? keys.taskKey(kid) };
    expect(await taskSignatures(rotated).verify(token)).toEqual(payload);
    expect(await taskSignatures(others).verify(token)).toBeUndefined();
  });

  it("is taken in no other form: other types, algorithms, headers, keys that are public", async () => {
    const ring = await ownKeys();
    const published: TaskKeys = { ...keys, taskKey: async (kid) => (kid === ring.es256.kid ? keys.secret : keys.taskKey(kid)) };
    const pem = String(ring.es256.publicKey.export({ type: "spki", format: "pem" }));
    for (const token of [
      await signed({ ...right, typ: "at+jwt" }, keys.secret),
      await signed({ ...right, typ: "JWT" }, keys.secret),
      await signed({ alg: "HS256", typ: "task+jwt" }, keys.secret),
      await signed({ ...right, kid: others.kid }, keys.secret),
      await signed({ ...right, kid: "constructor" }, keys.secret),
      await signed({ ...right, jku: "https://evil.test" }, keys.secret),
      await signed({ kid: keys.kid, typ: "task+jwt", alg: "HS256" }, keys.secret), // as good, but not as we write it
      await signed({ ...right, alg: "HS512" }, Buffer.alloc(64, 7)),
      await signed(right, others.secret),
      await signed({ ...right, kid: ring.es256.kid }, Buffer.from(pem)),
      await ownSignatures(ring).sign("task+jwt", payload),
    ])
      expect(await taskSignatures(published).verify(token)).toBeUndefined();
    // nor does it pass for a token that verifiers believe
    expect(await ownSignatures(ring).verify(await signed({ ...right, kid: ring.es256.kid }, keys.secret))).toBeUndefined();
  });

  it("has one spelling", async () => {
    const token = await signatures.sign(text);
    for (const other of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
      const changed = token.slice(0, -1) + other;
      if (changed !== token) expect(await signatures.verify(changed)).toBeUndefined();
    }
  });
});

describe("claims that a task token carries", () => {
  it("may be 8 KiB of JSON and not a byte more", () => {
    const room = MAX_CARRIED_CLAIMS - JSON.stringify({ a: "" }).length;
    expect(() => requireCarriable({ a: "x".repeat(room) })).not.toThrow();
    expect(() => requireCarriable({ a: "x".repeat(room + 1) })).toThrow(
      expect.objectContaining({
        code: "invalid_identity",
        message: `the claims of the identity token take ${MAX_CARRIED_CLAIMS + 1} bytes; a task token carries at most ${MAX_CARRIED_CLAIMS}`,
      }),
    );
  });
});
