import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { Redis } from "ioredis";
import type { Issued, Issuer } from "../../domain/credential.ts";
import { newId } from "../../domain/ids.ts";
import { systemClock } from "../../domain/time.ts";
import { httpKind } from "../../issuers/http/issuer.ts";
import type { HttpParams } from "../../issuers/http/settings.ts";
import { issuerContract, orderFor } from "../contract/issuer-contract.ts";
import { type ExampleMaker, MAKER_KEY, startExampleMaker } from "../support/example-maker.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { targetPorts } from "../support/target-ports.ts";

const GRANT = { params: { role: "reader" } };
const soon = (): AbortSignal => AbortSignal.timeout(5_000);

function openAt(maker: ExampleMaker, broker?: string): Issuer<HttpParams> {
  const ports = targetPorts(systemClock, broker);
  ports.secrets.set("file:maker.key", MAKER_KEY);
  const settings = httpKind.settings.parse({ url: maker.url, key: "file:maker.key", insecure_http: true });
  return httpKind.open({ name: "cache", owner: undefined, settings }, ports);
}

let redis: TestRedis;
let maker: ExampleMaker;
beforeAll(async () => {
  redis = await startRedis();
  maker = await startExampleMaker(addressOf(redis));
});
afterAll(async () => {
  await maker[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
});

const addressOf = ({ url }: TestRedis): { host: string; port: number } => ({
  host: new URL(url).hostname,
  port: Number(new URL(url).port),
});

/** A connection that logged in as what was issued. */
const userOf = ({ credential }: Issued): Redis => {
  const { host, port, username } = credential.facts as { host: string; port: number; username: string };
  const client = new Redis({
    host,
    port,
    username,
    password: credential.token.reveal(),
    lazyConnect: true,
    enableReadyCheck: false,
    retryStrategy: () => null,
  });
  client.on("error", () => undefined);
  return client;
};

/** Whether Redis lets it in now, and to its own keys. */
async function opens(issued: Issued): Promise<boolean> {
  const client = userOf(issued);
  try {
    await client.connect();
    return (await client.get("cache:x")) === null;
  } catch {
    return false;
  } finally {
    client.disconnect();
  }
}

const made = new Map<string, Issued>();
issuerContract("http, at the example's maker of Redis users", async () => {
  const issuer = openAt(maker);
  return {
    issuer: {
      ...issuer,
      params: issuer.params,
      issue: async (order, signal) => {
        const issued = await issuer.issue(order, signal);
        made.set(issued.credential.token.reveal(), issued);
        return issued;
      },
    },
    settings: GRANT,
    now: systemClock,
    works: async (token) => {
      const issued = made.get(token);
      return issued !== undefined && opens(issued);
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
});

describe("a Redis user of the example's maker", () => {
  it("may do what the grant's role says, and nothing else", async () => {
    const issuer = openAt(maker);
    const issued = await issuer.issue(orderFor({ issuer, settings: GRANT, now: systemClock }), soon());
    expect(issued.credential).toMatchObject({ type: "http", member: "password", facts: { kind: "redis_user" } });
    const client = userOf(issued);
    await client.connect();
    expect(await client.get("cache:x")).toBeNull();
    await expect(client.set("cache:x", "1")).rejects.toThrow("NOPERM");
    await expect(client.get("other:x")).rejects.toThrow("NOPERM");
    await expect(client.call("ACL", "LIST")).rejects.toThrow("NOPERM");
    client.disconnect();
  });

  it("loses its open connections when its lease ends", async () => {
    const issuer = openAt(maker);
    const order = orderFor({ issuer, settings: GRANT, now: systemClock });
    const issued = await issuer.issue(order, soon());
    const client = userOf(issued);
    await client.connect();
    const closed = new Promise((resolve) => client.once("close", resolve));
    expect(await issuer.revoke({ leaseId: order.leaseId, handle: undefined, expiresAt: 0 }, soon())).toBe("revoked");
    await closed;
    expect(await opens(issued)).toBe(false);
  });

  it("is not made for a lease that ended before, however late the maker is asked", async () => {
    const issuer = openAt(maker);
    const order = orderFor({ issuer, settings: GRANT, now: systemClock });
    expect(await issuer.revoke({ leaseId: order.leaseId, handle: undefined, expiresAt: 0 }, soon())).toBe("already_gone");
    await expect(issuer.issue(order, soon())).rejects.toMatchObject({
      name: "PermanentFailure",
      message: "the maker says that this lease was made or ended before",
    });
    expect(await redis.client().call("ACL", "USERS")).not.toContain(order.leaseId);
  });

  it("is made once for a lease, and a role that nobody knows is refused in the maker's words", async () => {
    const issuer = openAt(maker);
    const order = orderFor({ issuer, settings: GRANT, now: systemClock });
    await issuer.issue(order, soon());
    await expect(issuer.issue(order, soon())).rejects.toThrow("made or ended before");
    const admin = orderFor({ issuer, settings: { params: { role: "constructor" } }, now: systemClock });
    await expect(issuer.issue(admin, soon())).rejects.toThrow("the maker answered 422 when asked to make a credential (no such role)");
  });

  it("can be ended after the maker was killed, by another", async () => {
    const first = await startExampleMaker(addressOf(redis));
    const issuer = openAt(first);
    const order = orderFor({ issuer, settings: GRANT, now: systemClock });
    const issued = await issuer.issue(order, soon());
    await first[Symbol.asyncDispose]();
    const ended = { leaseId: order.leaseId, handle: issued.handle, expiresAt: order.expiresAt };
    await expect(issuer.revoke(ended, soon())).rejects.toMatchObject({ name: "RetryableFailure" });
    expect(await openAt(maker).revoke(ended, soon())).toBe("revoked");
    expect(await opens(issued)).toBe(false);
  });

  it("is listed to the broker that asked for it, and to no other", async () => {
    const issuer = openAt(maker);
    const other = openAt(maker, "https://another.stint.test");
    const order = orderFor({ issuer, settings: GRANT, now: systemClock });
    await issuer.issue(order, soon());
    const listed = async (from: Issuer<HttpParams>): Promise<string[]> => {
      const found: string[] = [];
      for await (const id of from.list?.(soon()) ?? []) found.push(id);
      return found;
    };
    expect(await listed(issuer)).toContain(order.leaseId);
    expect(await listed(other)).not.toContain(order.leaseId);
  });

  it("is made for nobody without the key", async () => {
    const ports = targetPorts(systemClock);
    ports.secrets.set("file:maker.key", MAKER_KEY.replace("0", "1"));
    const settings = httpKind.settings.parse({ url: maker.url, key: "file:maker.key", insecure_http: true });
    const stranger = httpKind.open({ name: "cache", owner: undefined, settings }, ports);
    const order = orderFor({ issuer: stranger, settings: GRANT, now: systemClock });
    await expect(stranger.issue(order, soon())).rejects.toThrow(
      "401 when asked to make a credential (not signed by the broker): has it the same key",
    );
    const plain = await fetch(`${maker.url}/credentials/${newId("lease", systemClock())}`, { method: "DELETE" });
    expect(plain.status).toBe(401);
  });
});
