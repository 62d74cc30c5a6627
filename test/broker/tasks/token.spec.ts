import { beforeAll, describe, expect, it } from "@jest/globals";
import {
  createTaskTokens,
  looksLikeTaskToken,
  MAX_CARRIED_CLAIMS,
  requireCarriable,
  type TaskTokens,
} from "../../../broker/tasks/token.ts";
import { ownSignatures, type OwnSignatures } from "../../../broker/tokens/own-signatures.ts";
import { newId } from "../../../domain/ids.ts";
import { Secret } from "../../../domain/secret.ts";
import type { Task } from "../../../domain/task.ts";
import { fakeClock } from "../../support/clock.ts";
import { ownKeys } from "../../support/own-keys.ts";

const url = "https://stint.test";
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
  let signatures: OwnSignatures;
  let tokens: TaskTokens;
  beforeAll(async () => {
    signatures = ownSignatures(await ownKeys());
    tokens = createTaskTokens({ url, signatures, clock });
  });
  const forged = async (change: Readonly<Record<string, unknown>>, typ = "task+jwt"): Promise<Secret> => {
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
    return new Secret(await signatures.sign(typ, claims));
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
    ["another type of ours", {}, "at+jwt"],
    ["another issuer", { iss: "https://else.test" }, "task+jwt"],
    ["another audience", { aud: "https://deploy.test" }, "task+jwt"],
    ["a list of audiences", { aud: [url] }, "task+jwt"],
    ["an id that is none", { task_id: "task_x" }, "task+jwt"],
    ["claims that are none", { claims: ["x"] }, "task+jwt"],
    ["no end", { exp: undefined }, "task+jwt"],
    ["an end that never comes", { exp: 1e300 }, "task+jwt"],
  ])("is not %s", async (_name, change, typ) => {
    expect(await tokens.verifyEnded(await forged(change, typ))).toBeUndefined();
  });

  it("is not one that another broker signed, nor one whose words were changed", async () => {
    const other = createTaskTokens({ url, signatures: ownSignatures(await ownKeys()), clock });
    expect(await tokens.verify(await other.sign(task, principal))).toBeUndefined();
    const [head, , signature] = (await tokens.sign(task, principal)).reveal().split(".");
    const body = Buffer.from(JSON.stringify({ iss: url, aud: url, sub: "github:2" })).toString("base64url");
    expect(await tokens.verify(new Secret(`${head}.${body}.${signature}`))).toBeUndefined();
    for (const nonsense of ["", ".", "..", "a.b.c", "e30.e30.e30", "x".repeat(20_000)])
      expect(await tokens.verify(new Secret(nonsense))).toBeUndefined();
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
