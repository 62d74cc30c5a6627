import { describe, expect, it } from "@jest/globals";
import { inspect } from "node:util";
import { systemClock } from "../../domain/time.ts";
import { createClient, fixedIdentity, type Credential } from "../../client/index.ts";
import { EVIDENCE, LEASE, SECRET, TASK, toyBroker } from "./toy-broker.ts";
import type { RecordingServer } from "./recording-server.ts";

const clientOf = (broker: RecordingServer) => createClient({ url: broker.url, identity: fixedIdentity(EVIDENCE) });
const sent = (broker: RecordingServer): string[] => broker.received.map(({ method, path }) => `${method} ${path}`);

describe("a task", () => {
  it("is opened with evidence, asks with its own token, and is completed when it goes out of scope", async () => {
    await using broker = await toyBroker();
    {
      await using task = await clientOf(broker).task("close stale tickets", { ttl: "30m" });
      await task.credential("deploy-prod", { ttl: "5m", scope: ["deploy:write"], purpose: "triage" });
    }
    expect(sent(broker)).toEqual(["POST /v1/tasks", `POST /v1/tasks/${TASK}/credentials`, `POST /v1/tasks/${TASK}/complete`]);
    expect(broker.received.map((request) => request.headers.authorization)).toEqual([
      `Bearer ${EVIDENCE}`,
      "Bearer task.token.signed",
      "Bearer task.token.signed",
    ]);
    expect(broker.received.map((request) => JSON.parse(request.body))).toEqual([
      { purpose: "close stale tickets", ttl: "30m" },
      { grant: "deploy-prod", ttl: "5m", scope: ["deploy:write"], purpose: "triage" },
      { outcome: "success", by: "complete" },
    ]);
  });

  it("that was completed by hand is not completed again", async () => {
    await using broker = await toyBroker();
    {
      await using task = await clientOf(broker).task();
      expect(await task.complete("failure")).toMatchObject({ settled: true });
    }
    expect(sent(broker).filter((line) => line.endsWith("/complete"))).toHaveLength(1);
  });

  it("sends heartbeats in the background, and tells when the task has ended", async () => {
    await using broker = await toyBroker(({ path }, count) =>
      path.endsWith("/heartbeat") && count > 2 ? { status: 409, body: { code: "task_ended", detail: "the task has ended" } } : undefined,
    );
    const lost = await new Promise<string>((resolve, reject) => {
      clientOf(broker)
        .task("x", { heartbeat: "1s", onHeartbeatLost: (error) => resolve(error.code) })
        .catch(reject);
    });
    expect(lost).toBe("task_ended");
    expect(sent(broker).slice(1)).toEqual([`POST /v1/tasks/${TASK}/heartbeat`, `POST /v1/tasks/${TASK}/heartbeat`]);
  });

  it("keeps alive a task it joined that wants heartbeats, though it asked for none", async () => {
    const soon = new Date(systemClock() + 3300).toISOString();
    await using broker = await toyBroker(({ path }) =>
      path === "/v1/tasks" ? { status: 200, body: { task: TASK, task_token: "t", expires_at: soon, heartbeat_by: soon } } : undefined,
    );
    await using _task = await clientOf(broker).task();
    while (!sent(broker).includes(`POST /v1/tasks/${TASK}/heartbeat`)) await new Promise((resolve) => setTimeout(resolve, 20));
  });

  it("refuses a heartbeat that is no span before anything is sent", async () => {
    await using broker = await toyBroker();
    await expect(clientOf(broker).task("x", { heartbeat: "often" })).rejects.toThrow('heartbeat: expected a span such as "1m"');
    expect(broker.received).toHaveLength(0);
  });
});

describe("a credential", () => {
  it("may be asked for in one trip, and given back by itself", async () => {
    await using broker = await toyBroker();
    {
      await using credential = await clientOf(broker).request("deploy-prod", { ttl: "5m" });
      expect([credential.value, credential.leaseId]).toEqual([SECRET, LEASE]);
    }
    expect(sent(broker)).toEqual(["POST /oauth2/token", `POST /v1/leases/${LEASE}/release`]);
  });

  it.each<[string, (credential: Credential) => string]>([
    ["a template", (one) => `${one.toString()}`],
    ["JSON", (one) => JSON.stringify({ one })],
    ["inspect", (one) => inspect({ one }, { depth: 9, showHidden: true })],
    ["concatenation", (one) => "" + String(one)],
  ])("never shows itself in %s", async (_, print) => {
    await using broker = await toyBroker();
    const task = await clientOf(broker).task();
    const credential = await task.credential("deploy-prod");
    expect(print(credential)).toContain(`[redacted ${LEASE}]`);
    expect(print(credential)).not.toContain(SECRET);
    expect(inspect(task)).not.toContain("task.token.signed");
    expect([credential.value, credential.header()]).toEqual([SECRET, { authorization: `Bearer ${SECRET}` }]);
  });

  it("is given back when it goes out of scope", async () => {
    await using broker = await toyBroker();
    const task = await clientOf(broker).task();
    {
      await using credential = await task.credential("deploy-prod");
      expect(credential.leaseId).toBe(LEASE);
    }
    expect(sent(broker).at(-1)).toBe(`POST /v1/leases/${LEASE}/release`);
  });
});
