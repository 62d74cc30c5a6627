import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "@jest/globals";
import type { Issuer } from "../../../domain/credential.ts";
import { newId } from "../../../domain/ids.ts";
import { httpKind } from "../../../issuers/http/issuer.ts";
import type { HttpParams } from "../../../issuers/http/settings.ts";
import { orderFor } from "../../contract/issuer-contract.ts";
import { fakeClock } from "../../support/clock.ts";
import { json, made, type MakerServer, startMaker } from "../../support/maker-server.ts";
import { selfSigned } from "../../support/self-signed.ts";
import { targetPorts } from "../../support/target-ports.ts";

const KEY = "a-key-of-at-least-thirty-two-characters";
const clock = fakeClock();
const soon = (): AbortSignal => AbortSignal.timeout(5_000);

function openAt(maker: Pick<MakerServer, "url">, more: Readonly<Record<string, unknown>> = {}, key = KEY): Issuer<HttpParams> {
  const ports = targetPorts(clock);
  ports.secrets.set("env:MAKER_KEY", key);
  const settings = httpKind.settings.parse({ url: maker.url, key: "env:MAKER_KEY", insecure_http: true, ...more });
  return httpKind.open({ name: "queue", owner: undefined, settings }, ports);
}
const orderAt = (issuer: Issuer<HttpParams>, more: Parameters<typeof orderFor<HttpParams>>[1] = {}) =>
  orderFor({ issuer, settings: { params: { vhost: "shop" }, scope: ["read"] }, now: clock }, more);

describe("an order to a maker", () => {
  it("says who asks for what until when, and nothing more", async () => {
    await using maker = await startMaker(made());
    const issuer = openAt(maker, { options: ["queue"] });
    const order = orderAt(issuer, { purpose: "deploy", scope: ["read"], options: issuer.options?.parse({ queue: "orders" }) ?? {} });
    const issued = await issuer.issue(order, soon());
    expect(maker.asked[0]).toMatchObject({ method: "POST", url: "/credentials" });
    expect(maker.asked[0]?.json).toEqual({
      lease_id: order.leaseId,
      broker: "https://stint.acme.dev",
      target: "queue",
      subject: "github:456789",
      workload: "github/acme/shop",
      grant: "deploy-prod",
      purpose: "deploy",
      scope: ["read"],
      params: { vhost: "shop" },
      options: { queue: "orders" },
      issued_at: "2026-03-02T12:00:00.000Z",
      expires_at: "2026-03-02T12:10:00.000Z",
    });
    expect(issued.credential).toMatchObject({ type: "http", member: "password", facts: { username: "u" } });
    expect(issued.credential.token.reveal()).toBe("pw-of-this-test");
    expect(issuer.bearer).toBe(false);
  });

  it("brings back further secrets, facts, the maker's own word and its handle", async () => {
    const credential = {
      kind: "rabbitmq_user",
      secret: { name: "password", value: "one" },
      secrets: { management_token: "two" },
      facts: { host: "mq.acme.example", ports: [5671], tls: true },
    };
    await using maker = await startMaker(made((good) => ({ ...good, credential, handle: "h-1" })));
    const issuer = openAt(maker);
    const order = orderAt(issuer);
    const issued = await issuer.issue(order, soon());
    expect(issued.credential.secrets?.["management_token"]?.reveal()).toBe("two");
    expect(issued.credential.facts).toEqual({ kind: "rabbitmq_user", host: "mq.acme.example", ports: [5671], tls: true });
    maker.next.push(json(204, undefined));
    expect(await issuer.revoke({ leaseId: order.leaseId, handle: issued.handle, expiresAt: 0 }, soon())).toBe("revoked");
    expect(maker.asked[1]).toMatchObject({ method: "DELETE", url: `/credentials/${order.leaseId}`, text: "" });
    expect(maker.asked[1]?.headers["stint-handle"]).toBe("h-1");
    expect(maker.asked[1]?.headers["signature-input"]).toContain('"stint-handle"');
  });

  it("takes from a workload only what the target allows", () => {
    expect(openAt({ url: "http://127.0.0.1:1" }).options).toBeUndefined();
    const options = openAt({ url: "http://127.0.0.1:1" }, { options: ["queue"] }).options;
    expect(options?.safeParse({ queue: "orders" }).success).toBe(true);
    expect(options?.safeParse({ vhost: "/" }).success).toBe(false);
    expect(options?.safeParse({ queue: "x".repeat(5_000) }).success).toBe(false);
  });
});

describe("ending at a maker", () => {
  it.each([
    [200, "revoked"],
    [204, "revoked"],
    [404, "already_gone"],
    [410, "already_gone"],
  ])("is over when it answers %i: %s", async (status, outcome) => {
    await using maker = await startMaker(json(status, undefined));
    const issuer = openAt(maker);
    expect(await issuer.revoke({ leaseId: newId("lease", clock()), handle: undefined, expiresAt: 0 }, soon())).toBe(outcome);
  });

  it.each([
    [202, "RetryableFailure", undefined],
    [302, "PermanentFailure", undefined],
    [400, "PermanentFailure", undefined],
    [401, "PermanentFailure", undefined],
    [403, "PermanentFailure", undefined],
    [409, "RetryableFailure", undefined],
    [423, "RetryableFailure", undefined],
    [429, "RetryableFailure", 7_000],
    [500, "RetryableFailure", 7_000],
    [503, "RetryableFailure", 7_000],
  ])("is not over when it answers %i", async (status, name, retryAfterMs) => {
    await using maker = await startMaker(json(status, { detail: "no" }, { "retry-after": "7", location: "/" }));
    const ending = openAt(maker).revoke({ leaseId: newId("lease", clock()), handle: undefined, expiresAt: 0 }, soon());
    await expect(ending).rejects.toMatchObject({ name, ...(retryAfterMs !== undefined && { retryAfterMs }) });
    expect(maker.asked).toHaveLength(1);
  });
});

describe("renewing at a maker", () => {
  it("is offered only where the target says so, and moves the end", async () => {
    await using maker = await startMaker(made());
    expect(openAt(maker).renew).toBeUndefined();
    const issuer = openAt(maker, { renew: true });
    const order = orderAt(issuer);
    maker.next.push(json(204, undefined));
    expect(await issuer.renew?.(order, soon())).toBeUndefined();
    expect(maker.asked[0]).toMatchObject({
      method: "POST",
      url: `/credentials/${order.leaseId}/renew`,
      json: { lease_id: order.leaseId, expires_at: "2026-03-02T12:10:00.000Z" },
    });
    expect((await issuer.renew?.(order, soon()))?.credential.token.reveal()).toBe("pw-of-this-test");
    maker.next.push(json(200, { lease_id: order.leaseId }));
    expect(await issuer.renew?.(order, soon())).toBeUndefined();
    maker.next.push(json(404, undefined));
    await expect(issuer.renew?.(order, soon())).rejects.toThrow("the maker no longer has what is to be renewed");
  });
});

describe("what a maker lists", () => {
  const [ours, theirs] = [newId("lease", clock()), newId("lease", clock())];
  const item = (lease: string, broker = "https://stint.acme.dev") => ({ lease_id: lease, broker });
  const all = async (issuer: Issuer<HttpParams>): Promise<string[]> => {
    const found: string[] = [];
    for await (const lease of issuer.list?.(soon()) ?? []) found.push(lease);
    return found;
  };

  it("is read page by page, and what it made for others is passed over", async () => {
    await using maker = await startMaker(json(200, { items: [item(theirs, "https://other.example")], next_cursor: null }));
    maker.next.push(json(200, { items: [item(ours), item("whatever", "https://other.example")], next_cursor: "two" }));
    expect(await all(openAt(maker))).toEqual([ours]);
    expect(maker.asked.map(({ url }) => url)).toEqual([
      "/credentials?broker=https%3A%2F%2Fstint.acme.dev",
      "/credentials?broker=https%3A%2F%2Fstint.acme.dev&cursor=two",
    ]);
  });

  it.each([
    ["never ends", { items: [], next_cursor: "again" }, "RetryableFailure", "the maker's list does not end"],
    ["names as ours what is no lease", { items: [item("root")] }, "PermanentFailure", "lists something of ours that is no lease"],
    ["is no list", { items: "all" }, "PermanentFailure", "not what the contract says, at items"],
    [
      "has a page too long",
      { items: Array.from({ length: 1_001 }, () => item(ours)) },
      "PermanentFailure",
      "not what the contract says, at items",
    ],
  ])("is refused when it %s", async (_name, body, name, message) => {
    await using maker = await startMaker(json(200, body));
    await expect(all(openAt(maker))).rejects.toMatchObject({ name, message: expect.stringContaining(message) });
  });

  it("may be nothing at all, which is said", async () => {
    await using maker = await startMaker(json(200, { items: [] }));
    expect(openAt(maker, { list: false }).list).toBeUndefined();
    expect((await openAt(maker, { list: false }).examine?.(soon()))?.warnings).toHaveLength(1);
    expect(await openAt(maker).examine?.(soon())).toEqual({ server: `maker at ${maker.url}`, warnings: [] });
  });
});

describe("a target's settings", () => {
  const good = { url: "https://maker.acme.example", key: "file:maker.key" };
  it.each([
    [{}, true],
    [{ max_ttl: "2h" }, true],
    [{ max_ttl: "25h" }, false],
    [{ url: "http://maker.acme.example" }, false],
    [{ url: "https://user:pass@maker.acme.example" }, false],
    [{ url: "https://maker.acme.example/?x" }, false],
    [{ url: "file:///etc/passwd" }, false],
    [{ key: "s3cret" }, false],
    [{ key_id: 'a";b="' }, false],
    [{ revocation: "verifier_checked" }, false],
    [{ colour: "red" }, false],
  ])("%j: %s", (more, accepted) => {
    expect(httpKind.settings.safeParse({ ...good, ...more }).success).toBe(accepted);
  });

  it("need a key that cannot be guessed", async () => {
    await using maker = await startMaker(made());
    const issuer = openAt(maker, {}, "short");
    await expect(issuer.issue(orderAt(issuer), soon())).rejects.toThrow("the key at env:MAKER_KEY is shorter than 32 characters");
    expect(maker.asked).toEqual([]);
  });

  it("lead to the address that is written there and to none inside, unless it says so", async () => {
    for (const url of ["https://127.0.0.1:1", "https://10.0.0.1", "https://169.254.169.254", "https://[::ffff:7f00:1]"]) {
      const issuer = openAt({ url }, { insecure_http: false });
      await expect(issuer.issue(orderAt(issuer), soon())).rejects.toMatchObject({
        name: "RetryableFailure",
        message: `the maker at ${url} leads to an address that is not allowed`,
      });
    }
  });

  it("believe TLS only with the authority they name, read anew each time", async () => {
    const tls = selfSigned("127.0.0.1", { days: 1 });
    const server = createServer({ key: tls.key, cert: tls.cert }, (_request, response) => void response.writeHead(204).end());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const ports = targetPorts(clock);
    ports.secrets.set("env:MAKER_KEY", KEY).set("file:ca.pem", selfSigned("127.0.0.1", { days: 1 }).cert);
    const settings = httpKind.settings.parse({ url, key: "env:MAKER_KEY", private_network: true, ca_file: "ca.pem" });
    const issuer = httpKind.open({ name: "queue", owner: undefined, settings }, ports);
    const ending = { leaseId: newId("lease", clock()), handle: undefined, expiresAt: 0 };
    await expect(issuer.revoke(ending, soon())).rejects.toThrow("failed: DEPTH_ZERO_SELF_SIGNED_CERT");
    ports.secrets.set("file:ca.pem", tls.cert);
    expect(await issuer.revoke(ending, soon())).toBe("revoked");
    server.closeAllConnections();
    await new Promise((resolve) => void server.close(resolve));
  });

  it("hand a handle to nobody who prints it", async () => {
    await using maker = await startMaker(made((truth) => ({ ...truth, handle: "h-secret" })));
    const issuer = openAt(maker);
    expect(JSON.stringify(await issuer.issue(orderAt(issuer), soon()))).not.toMatch(/h-secret|pw-of-this-test/);
  });
});
