import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { z } from "zod";
import { createBackground } from "../../../broker/background.ts";
import { IssuerRegistry } from "../../../broker/targets/registry.ts";
import type { Issuer } from "../../../domain/credential.ts";
import type { IssuerKind } from "../../../domain/target.ts";
import { CredentialView } from "../../../domain/wire.ts";
import type { TargetStore } from "../../../store/api.ts";
import type { Sealer } from "../../../store/sealing.ts";
import { openShop, type Shop } from "../../support/shop.ts";
import { opens, testKind, testTarget } from "../../support/test-issuers.ts";

const grant = (name: string, target: string, more = ""): string => `
---
kind: Grant
name: ${name}
owner: team-payments
sensitivity: medium
allow:
  - { trust: github, claims: { repository_id: "456789" } }
issue: { target: ${target}, ttl: 10m${more} }
`;
const target = (file: string, name = "shop-db"): string => `
---
kind: Target
name: ${name}
owner: team-platform
issuer: test-file
file: "${file}"
password: env:SHOP_DB_PASSWORD
`;

let place: Awaited<ReturnType<typeof testTarget>>;
let shop: Shop;
beforeAll(async () => {
  place = await testTarget();
  shop = await openShop({
    kinds: [testKind],
    variables: { SHOP_DB_PASSWORD: "the broker's own" },
    more: target(place.file) + grant("database", "shop-db", ", role: writer"),
  });
});
afterAll(async () => {
  await shop[Symbol.asyncDispose]();
  await place[Symbol.asyncDispose]();
});

async function openTask(): Promise<{ readonly task: string; readonly token: string }> {
  const evidence = await shop.evidence();
  const answer = await post("/v1/tasks", evidence.reveal(), {});
  const opened = (await answer.json()) as { task: string; task_token: string };
  return { task: opened.task, token: opened.task_token };
}
const post = (path: string, bearer: string, body: unknown): Promise<Response> =>
  fetch(`${shop.broker.url}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${bearer}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });

describe("a grant of a target", () => {
  it("answers with every member of the credential, under the target's name", async () => {
    const { task, token } = await openTask();
    const answer = await post(`/v1/tasks/${task}/credentials`, token, { grant: "database", options: { public_key: "ssh-ed25519 AAAA" } });
    expect(answer.status).toBe(201);
    const view = CredentialView.parse(await answer.json());
    expect(view).toMatchObject({ issuer: "shop-db", revocation: "immediate" });
    expect(view.credential).toMatchObject({
      type: "test_role",
      username: view.lease_id,
      role: "writer",
      password: `secret-of-${view.lease_id}`,
      private_key: "the broker's own",
      public_key: JSON.stringify("ssh-ed25519 AAAA"),
    });
    expect(await opens(place, String(view.credential["password"]))).toBe(true);
    await post(`/v1/leases/${view.lease_id}/release`, token, {});
    expect(await opens(place, String(view.credential["password"]))).toBe(false);
    const list = await fetch(`${shop.broker.url}/targets/shop-db/list`);
    expect([list.status, list.headers.get("cache-control"), await list.text()]).toEqual([200, "public, max-age=5", view.lease_id]);
  });

  it("refuses options that its issuer does not take, by name, and spends nothing", async () => {
    const { task, token } = await openTask();
    const answer = await post(`/v1/tasks/${task}/credentials`, token, { grant: "database", options: { surprise: 1 } });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ code: "invalid_request", detail: expect.stringContaining("surprise") });
    const jwt = await post(`/v1/tasks/${task}/credentials`, token, { grant: "deploy", options: { public_key: "x" } });
    expect(await jwt.json()).toMatchObject({ code: "invalid_request", detail: "options: a jwt credential takes none" });
  });

  it("does not tell a caller who may not have it what it takes", async () => {
    const evidence = await shop.evidence({ repository_id: "1" });
    const opened = (await (await post("/v1/tasks", evidence.reveal(), {})).json()) as { task: string; task_token: string };
    const answer = await post(`/v1/tasks/${opened.task}/credentials`, opened.task_token, { grant: "database", options: { surprise: 1 } });
    expect(await answer.json()).toMatchObject({ code: "not_permitted" });
  });

  it("points from the token endpoint to its own, and leaves the evidence unspent", async () => {
    const evidence = await shop.evidence();
    await expect(shop.exchange({ grant: "database", evidence })).rejects.toMatchObject({ code: "not_a_token" });
    expect((await post("/v1/tasks", evidence.reveal(), {})).status).toBe(201);
  });

  it("publishes nothing that its issuer does not name", async () => {
    for (const path of ["/targets/shop-db/constructor", "/targets/shop-db/krl", "/targets/nowhere/list", "/targets/jwt/list"])
      expect((await fetch(`${shop.broker.url}${path}`)).status).toBe(404);
  });
});

describe("the issuers in force", () => {
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const unused = (): never => {
    throw new Error("nothing is asked of a target when it is opened");
  };
  function registry() {
    const opened: string[] = [];
    const closed: string[] = [];
    const kind: IssuerKind = {
      kind: "noted",
      settings: z.unknown(),
      params: () => z.unknown(),
      revocation: () => "immediate",
      open: ({ name, settings }) => {
        opened.push(`${name} ${String(settings)}`);
        return { ...place.issuer, close: async () => void closed.push(`${name} ${String(settings)}`) };
      },
    };
    const background = createBackground(log);
    const ports = {
      url: "https://stint.test",
      now: () => 0,
      records: new Proxy({} as TargetStore, { get: unused }),
      sealer: new Proxy({} as Sealer, { get: unused }),
      policyPath: "",
      variable: unused,
      log,
    };
    const made = new IssuerRegistry(new Map<string, Issuer>([["jwt", place.issuer]]), ports, background);
    const follow = async (targets: Readonly<Record<string, string>>): Promise<void> => {
      made.follow({
        targets: new Map(
          Object.entries(targets).map(([name, version]) => [
            name,
            { name, owner: undefined, kind, settings: version, rotateMs: undefined, version },
          ]),
        ),
      });
      await background.settle(1_000);
    };
    return { made, follow, opened, closed };
  }

  it("follow a reload: what is new is opened, what changed is replaced, the rest is left alone", async () => {
    const { made, follow, opened, closed } = registry();
    await follow({ one: "a", two: "a" });
    await follow({ one: "a", two: "b", three: "a" });
    expect(opened).toEqual(["one a", "two a", "two b", "three a"]);
    expect(closed).toEqual(["two a"]);
    expect([...made.issuers.keys()]).toEqual(["jwt", "one", "two", "three"]);
  });

  it("still end what was made at a target that left, and take it back as it was", async () => {
    const { made, follow, opened, closed } = registry();
    await follow({ one: "a" });
    await follow({});
    expect(made.issuers.has("one")).toBe(true);
    expect(made.targets().get("one")?.retired).toBe(true);
    await follow({ one: "a" });
    expect(made.targets().get("one")?.retired).toBe(false);
    expect([opened, closed]).toEqual([["one a"], []]);
    await made.close();
    expect(closed).toEqual(["one a"]);
  });
});
