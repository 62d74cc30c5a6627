import { describe, expect, it } from "@jest/globals";
import { createClient, fixedIdentity } from "../../client/index.ts";
import { callCli } from "./cli/run-cli.ts";
import { MATERIALS } from "./deliver/answers.ts";
import type { RecordingServer } from "./recording-server.ts";
import { EVIDENCE, LATER, LEASE, credential, toyBroker } from "./toy-broker.ts";

/** A broker whose grant is a database's; a renewal moves its end and says no more than its type. */
const database = (): Promise<RecordingServer> =>
  toyBroker(({ path }) => {
    if (path === "/oauth2/token") return { status: 400, body: { error: "invalid_target", code: "not_a_token", error_description: "no" } };
    if (path.endsWith("/credentials")) return { status: 201, body: { ...credential(), credential: MATERIALS.postgres } };
    return path === `/v1/leases/${LEASE}/renew` ? { body: { ...credential(), credential: { type: "postgres" } } } : undefined;
  });

describe("a credential in a program", () => {
  it("is asked for under a task when it is no single token, and is there member by member and in its tools' shapes", async () => {
    await using broker = await database();
    const given = await createClient({ url: broker.url, identity: fixedIdentity(EVIDENCE) }).request("orders-db");
    expect(given.material).toEqual(MATERIALS.postgres);
    expect(JSON.parse(given.value)).toEqual(MATERIALS.postgres);
    expect(given.as("pgpass")).toContain(`:${MATERIALS.postgres.username}:s3cret\\:with`);
    expect(() => given.as("netrc", { host: "db.example.com" })).toThrow(
      "a credential of kind postgres is no user name and password for the web",
    );
    expect(given.toString()).toBe(`[redacted ${LEASE}]`);
    expect(broker.received.map(({ path }) => path.split("/").at(-1))).toEqual(["token", "tasks", "credentials"]);
  });

  it("keeps its value where a renewal lengthened it at the target", async () => {
    await using broker = await database();
    const given = await createClient({ url: broker.url, identity: fixedIdentity(EVIDENCE) }).request("orders-db");
    const renewed = await given.renew({ ttl: "20m" });
    expect([renewed.value, renewed.expiresAt]).toEqual([given.value, new Date(LATER)]);
    const ran = await callCli(["lease", "renew", LEASE], { STINT_URL: broker.url, STINT_TASK_TOKEN: "t" });
    expect([ran.code, ran.out]).toEqual([0, ""]);
    expect(ran.err).toContain("it keeps its value; only its end has moved");
  });

  it("sends what its issuer takes beside the grant, and asks under a task then", async () => {
    await using broker = await database();
    const ran = await callCli(
      ["request", "orders-db", "--option", "role=reader", "--option", 'schemas:=["a","b"]', "--format", "pgservice"],
      { STINT_URL: broker.url, STINT_ID_TOKEN: EVIDENCE },
    );
    expect([ran.code, ran.out.split("\n")[0]]).toEqual([0, "[deploy-prod]"]);
    expect(JSON.parse(broker.received.at(-1)?.body ?? "")).toEqual({
      grant: "orders-db",
      options: { role: "reader", schemas: ["a", "b"] },
    });
    expect(broker.received.map(({ path }) => path.split("/").at(-1))).toEqual(["tasks", "credentials"]);
  });

  it.each([
    [["--option", "x"], "expected name=value, name=@file or name:=JSON"],
    [["--option", "a=1", "--option", "a=2"], "--option a is given twice"],
    [["--option", "a:={"], "what follows := is no JSON"],
    [["--option", "a=@/nowhere/file"], "/nowhere/file cannot be read (ENOENT)"],
    [["--format", "ssh"], "--format ssh writes two files"],
  ])("is not asked for with %j", async (options, why) => {
    await using broker = await database();
    const ran = await callCli(["request", "orders-db", ...options], { STINT_URL: broker.url, STINT_ID_TOKEN: EVIDENCE });
    expect([ran.code, ran.err.includes(why), broker.received.length]).toEqual([2, true, 0]);
  });
});

describe("a lease that was given back", () => {
  const lease = (outcome: string): object => ({
    lease_id: LEASE,
    issuer: "jwt",
    outcome,
    revocation: "verifier_checked",
    dead_by: LATER,
    took_ms: 4,
  });
  it.each([
    ["revoked", 0, "1 credential dead in 4ms"],
    ["dead_by", 10, "honoured nowhere after"],
  ])("is as dead as the broker says (%s), whatever our own clock says", async (outcome, exit, said) => {
    await using broker = await toyBroker(({ path }) => (path.endsWith("/release") ? { body: { receipt: lease(outcome) } } : undefined));
    const ran = await callCli(["lease", "revoke", LEASE], { STINT_URL: broker.url, STINT_TASK_TOKEN: "t" });
    expect([ran.code, ran.err]).toEqual([exit, expect.stringContaining(said)]);
  });
});
