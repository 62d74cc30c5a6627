import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KeyView } from "../../../broker/services.ts";
import { readiness } from "../../../client/doctor/broker.ts";
import { operated } from "../../../client/doctor/operator.ts";
import { OperatorClient } from "../../../client/operator-client.ts";
import { systemClock } from "../../../domain/time.ts";
import { fakeClock } from "../../support/clock.ts";
import { FEED_DOCUMENTS } from "../../support/feed-shop.ts";
import { startHttp } from "../../support/http.ts";
import { memoryServices, OPERATORS } from "../../support/memory-services.ts";
import { startRedis } from "../../support/redis.ts";
import { DATABASE, openShop, request, type Shop } from "../../support/shop.ts";
import { fileKind, testTarget } from "../../support/test-issuers.ts";
import { callCli } from "../cli/run-cli.ts";
import { examine, type Examined } from "./reading.ts";

const asViewer = (shop: Shop) => ({ STINT_URL: shop.broker.url, STINT_OPERATOR_TOKEN: shop.broker.operators.viewer.reveal() });

describe("a broker that is well", () => {
  let shop: Shop;
  beforeAll(async () => (shop = await openShop()));
  afterAll(async () => shop[Symbol.asyncDispose]());

  it("passes with a viewer's token and a workload's evidence, and exits 0", async () => {
    await shop.broker.duties.runOnce();
    const ran = await examine([], { ...asViewer(shop), STINT_ID_TOKEN: (await shop.evidence()).reveal() });
    expect([ran.code, ran.named("fail")]).toEqual([0, []]);
    expect(ran.named("ok")).toEqual(
      expect.arrayContaining(["tcp", "issuer", "clock", "redis", "eviction", "audit", "identity", "accepted", "operator", "stuck", "keys"]),
    );
    expect(ran.of("accepted")[0]?.what).toContain("github/octo-org/octo-repo by trust github; may ask for deploy, few");
    expect(ran.of("operator")[0]?.what).toBe("viewer, viewer");
  });

  it("is looked at without a token too, and says what that leaves out", async () => {
    const ran = await examine([], { STINT_URL: shop.broker.url });
    expect([ran.code, ran.named("left_out")]).toEqual([0, ["identity", "operator", "figures"]]);
    expect(ran.of("operator")[0]).toMatchObject({
      what: expect.stringContaining("stuck leases"),
      next: expect.stringContaining("--role viewer"),
    });
  });

  it("in a pipe is five columns, and one sentence beside", async () => {
    const ran = await callCli(["doctor"], { STINT_URL: shop.broker.url, STINT_DATA_DIR: "/nonexistent", STINT_METRICS_LISTEN: "off" });
    const rows = ran.out
      .trimEnd()
      .split("\n")
      .map((row) => row.split("\t"));
    expect(rows.every((row) => row.length === 5)).toBe(true);
    expect(rows).toContainEqual(["ok", "issuer", `the broker calls itself ${shop.broker.url}`, "", ""]);
    expect(ran.err).toContain(`✓ ${shop.broker.url}: nothing failed,`);
  });

  it("refuses evidence that is made for somebody else, and says for whom", async () => {
    const evidence = await shop.evidence({ aud: "https://elsewhere.test" });
    const ran = await examine([], { STINT_URL: shop.broker.url, STINT_ID_TOKEN: evidence.reveal() });
    expect(ran.code).toBe(9);
    expect(ran.of("identity")[1]).toMatchObject({
      status: "fail",
      what: expect.stringMatching(/made by http:\S+ for https:\/\/elsewhere\.test \(audience_mismatch\)/),
      next: expect.any(String),
    });
  });

  it("names evidence that is not there, and a platform's job that may not ask for it", async () => {
    const none = await examine([], { STINT_URL: shop.broker.url, STINT_ID_TOKEN_FILE: "/nonexistent/token" });
    expect([none.code, none.of("identity")[0]?.what]).toEqual([9, "STINT_ID_TOKEN_FILE: there is no evidence (no_identity)"]);
    const github = await examine([], { STINT_URL: shop.broker.url, GITHUB_ACTIONS: "true" });
    expect(github.of("identity")[0]?.next).toContain("id-token: write");
  });

  it("does not take a stranger's token for an operator's", async () => {
    const ran = await examine([], { STINT_URL: shop.broker.url, STINT_OPERATOR_TOKEN: "stint_op_wrong" });
    expect([ran.code, ran.of("operator")[0]]).toEqual([9, expect.objectContaining({ next: expect.stringContaining("SIGHUP") })]);
  });
});

describe("a broker in trouble", () => {
  const told = async (shop: Shop): Promise<Examined> => {
    await shop.broker.duties.runOnce().catch(() => undefined);
    return await examine([], asViewer(shop));
  };

  it("on hold, and whose audit cannot be written, is found so by what it says of itself", async () => {
    await using shop = await openShop();
    await shop.broker.store.hold.set({ action: "hold.set", principal: "broker" });
    shop.broker.audit.healthy = false;
    const ran = await told(shop);
    expect(ran.code).toBe(9);
    expect(ran.of("audit")[0]).toMatchObject({ status: "fail", next: expect.stringContaining("STINT_AUDIT_DIR") });
    expect(ran.of("hold").map(({ status }) => status)).toContain("fail");
    expect(ran.of("hold")[0]?.next).toContain("stint hold clear");
  });

  it("that says of each check what is wrong with it", async () => {
    const checks = ["redis", "aof", "eviction", "signing_key", "policy", "audit", "clock", "hold", "draining", "new_one"] as const;
    await using http = await startHttp({
      readiness: () => ({
        ready: false,
        checks: checks.map((name) => ({ name: name as "redis", status: "fail", detail: `${name} is ill` })),
      }),
    });
    const found = await readiness({ url: http.url, fetch, clock: systemClock, timeoutMs: 5_000 });
    expect(found.map(({ check, status, what }) => [check, status, what])).toEqual(checks.map((name) => [name, "fail", `${name} is ill`]));
    expect(found.filter(({ next }) => next === undefined || next.length < 20)).toEqual([]);
    expect(found.map(({ next }) => next)[2]).toContain("noeviction");
  });

  it("whose token keys do not rotate, or are gone; the checkpoints' key, which has no end, is no trouble", async () => {
    const key = (alg: string, days: number): KeyView => {
      const at = systemClock() - days * 86_400_000;
      return { kid: alg.padEnd(43, "k"), alg, state: "active", createdAt: at, activeAt: at, retiredAt: undefined, destroyAt: undefined };
    };
    const found = async (...all: readonly KeyView[]) => {
      await using http = await startHttp({ keys: { ...memoryServices(fakeClock()).keys, list: async () => all } });
      const operator = new OperatorClient({ url: http.url, fetch, clock: systemClock, timeoutMs: 5_000 }, OPERATORS.viewer);
      const finding = (await operated(operator, systemClock())).find(({ check }) => check === "keys");
      return [finding?.status, finding?.what];
    };
    const old = key("Ed25519", 400);
    expect(await found(key("ES256", 10), old)).toEqual(["ok", "ES256 sign"]);
    expect(await found(key("ES256", 32), old)).toEqual(["warn", expect.stringContaining("the ES256 key has signed since")]);
    expect(await found(old)).toEqual(["fail", "no signing key is active"]);
  });

  it("without an append-only file is warned of, and well otherwise", async () => {
    await using redis = await startRedis();
    await redis.client().config("SET", "appendonly", "no");
    await using shop = await openShop({ redis });
    const ran = await told(shop);
    expect([ran.code, ran.of("aof")[0]]).toEqual([
      0,
      expect.objectContaining({ status: "warn", next: expect.stringContaining("appendonly yes") }),
    ]);
  });

  it("with everything locked, and with verifiers that nobody runs", async () => {
    await using shop = await openShop({ more: FEED_DOCUMENTS });
    await callCli(["lock", "add", "--all", "--ttl", "1h", "--reason", "release freeze"], {
      STINT_URL: shop.broker.url,
      STINT_OPERATOR_TOKEN: shop.broker.operators.responder.reveal(),
    });
    const ran = await told(shop);
    expect(ran.of("locks")[0]).toMatchObject({
      status: "warn",
      why: "release freeze",
      next: expect.stringContaining("stint lock rm lock_"),
    });
    expect(ran.of("verifiers")[0]?.what).toMatch(/nobody reads the feed as (?:ship-api, other-api|other-api, ship-api)/);
    expect(ran.code).toBe(0);
  });

  it("with a stuck lease, whose target's answer is told", async () => {
    const clock = fakeClock();
    await using target = await testTarget();
    await using shop = await openShop({ clock, issuers: [target.issuer], more: DATABASE });
    const { lease } = await shop.exchange({ ...request("database") });
    target.goDown();
    for (const hours of [25, 25]) {
      clock.advance({ hours });
      await shop.broker.sweep();
    }
    const ran = await told(shop);
    expect(ran.code).toBe(9);
    expect(ran.of("stuck")[0]).toMatchObject({
      status: "fail",
      what: expect.stringContaining(`1 lease is stuck, for example ${lease.id}`),
      next: expect.stringContaining(`stint lease close ${lease.id}`),
    });
  });

  it("with a target that is left alone", async () => {
    await using place = await testTarget();
    const document = `\n---\nkind: Target\nname: shop-db\nowner: team-platform\nissuer: file\nfile: "${place.file}"\n`;
    await using shop = await openShop({
      kinds: [fileKind(place.issuer)],
      more: document + DATABASE.replace("issuer: test", "target: shop-db"),
    });
    expect((await told(shop)).of("target shop-db")[0]).toMatchObject({ status: "ok" });
    place.fail("issue", "before", 5);
    const ask = async () =>
      (
        await callCli(["request", "database"], {
          STINT_URL: shop.broker.url,
          STINT_TIMEOUT: "100ms",
          STINT_ID_TOKEN: (await shop.evidence()).reveal(),
        })
      ).code;
    for (let tries = 0; tries < 5; tries += 1) expect(await ask()).not.toBe(0);
    const ran = await examine([], asViewer(shop));
    expect([ran.code, ran.of("target shop-db")[0]]).toEqual([9, expect.objectContaining({ what: expect.stringContaining("left alone") })]);
  });
});

describe("files on this machine", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "stint-doctor-files-"));
    await mkdir(join(folder, "data"));
    await mkdir(join(folder, "policy"));
    await writeFile(join(folder, "data", "master-key"), "secret");
    await writeFile(join(folder, "token"), "secret");
    await chmod(join(folder, "token"), 0o644);
  });
  afterAll(async () => rm(folder, { recursive: true, force: true }));
  const nobody = "http://127.0.0.1:9";
  const look = (env: Readonly<Record<string, string>>) => examine([], { STINT_URL: nobody, STINT_DATA_DIR: join(folder, "data"), ...env });

  it("hold secrets that others may read: the master key fails, what a platform mounts is warned of", async () => {
    await chmod(join(folder, "data", "master-key"), 0o644);
    const ran = await look({ STINT_OPERATOR_TOKEN_FILE: join(folder, "token") });
    expect(ran.of("master key")[0]).toMatchObject({ status: "fail", next: `chmod 600 ${join(folder, "data", "master-key")}` });
    expect(ran.of("operator token")[0]).toMatchObject({ status: "warn" });
    await chmod(join(folder, "data", "master-key"), 0o600);
    expect((await look({})).of("master key")[0]).toMatchObject({ status: "ok" });
    expect(ran.of("disk").length).toBeGreaterThan(0);
  });

  it("hold a policy with mistakes, lint and a review that is overdue, each with its place", async () => {
    const grant = (review: string): string =>
      `kind: Trust\nname: github\nowner: a\noidc: { issuer: "https://token.actions.githubusercontent.com", preset: github }\n---\nkind: Settings\nname: settings\nlint: warn\n---\nkind: Grant\nname: deploy\n${review}sensitivity: high\nallow:\n  - { trust: github, claims: { repository_id: "1", environment: production } }\nissue: { issuer: jwt, audience: "https://a.test" }\n`;
    await writeFile(join(folder, "policy", "a.yaml"), grant("owner: a\nreview_by: 2020-01-31\n"));
    const stale = await look({ STINT_CONFIG: join(folder, "policy") });
    expect(
      stale
        .of("policy files")
        .map(({ what }) => what)
        .join("\n"),
    ).toMatch(/a\.yaml:\d+: .*review/);
    await writeFile(join(folder, "policy", "a.yaml"), grant("owner: a\nreviewed: never\n"));
    expect((await look({ STINT_CONFIG: join(folder, "policy") })).of("policy files")[0]).toMatchObject({ status: "fail" });
    expect((await look({ STINT_CONFIG: join(folder, "nowhere") })).of("policy files")[0]?.next).toContain("stint init");
  });
});
