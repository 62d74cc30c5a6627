import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { secretsOf } from "../../client/deliver/material.ts";
import { CredentialView } from "../../domain/wire.ts";
import { fakeClock } from "../support/clock.ts";
import { everythingIn } from "../support/everything-in.ts";
import { startGitHub, type FakeGitHub } from "../support/github.ts";
import { json, made, startMaker, type MakerServer } from "../support/maker-server.ts";
import { BROKER_PASSWORD, startPostgresTarget, type PostgresTarget } from "../support/postgres-target.ts";
import { openShop, type Shop } from "../support/shop.ts";

const MAKER_KEY = "key-of-the-maker-that-nobody-else-may-know";
const HANDLE = "handle-that-ends-what-the-maker-made";
const MADE = "password-that-the-maker-made";

const grant = (target: string, issue: string): string => `
---
kind: Grant
name: ${target}
owner: team-payments
allow:
  - { trust: github, claims: { repository_id: "456789" } }
issue: { target: ${target}, ttl: 10m, max_ttl: 30m${issue} }
`;
const targets = (database: PostgresTarget, github: FakeGitHub, maker: MakerServer, password: string): string => `
---
{ kind: Target, name: orders, owner: a, issuer: postgres, address: "127.0.0.1:${database.server.port}", database: app, user: stint, password: "file:${password}", roles: [app_read] }
---
{ kind: Target, name: web, owner: a, issuer: ssh, list_read_every: 30s }
---
{ kind: Target, name: mesh, owner: a, issuer: x509, domains: [acme.test], list_read_every: 30s }
---
{ kind: Target, name: source, owner: a, issuer: github-app, client_id: ${github.clientId}, private_key: env:APP_KEY, account: acme, api_url: "${github.apiUrl}", insecure_http: true, repositories: [shop], permissions: { contents: write } }
---
{ kind: Target, name: made, owner: a, issuer: http, url: "${maker.url}", key: env:MAKER_KEY, insecure_http: true, list: false }
${grant("orders", "")}${grant("web", ", principals: [deploy]")}${grant("mesh", ", dns_names: [ci.acme.test]")}${grant("source", "")}${grant("made", "")}`;

let folder: string;
let database: PostgresTarget;
let github: FakeGitHub;
let maker: MakerServer;
let shop: Shop;
beforeAll(async () => {
  const clock = fakeClock(Date.now());
  folder = await mkdtemp(join(tmpdir(), "stint-canaries-"));
  const password = join(folder, "password");
  await writeFile(password, BROKER_PASSWORD);
  [database, github, maker] = await Promise.all([
    startPostgresTarget(),
    startGitHub(clock),
    startMaker(
      made((good) => ({ ...good, handle: HANDLE, credential: { secret: { name: "password", value: MADE }, facts: { username: "u" } } })),
    ),
  ]);
  const variables = { APP_KEY: github.privateKey, MAKER_KEY };
  shop = await openShop({ clock, more: targets(database, github, maker, password), variables });
}, 120_000);
afterAll(async () => {
  for (const each of [shop, maker, github, database]) await each?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const send = async (path: string, body: unknown, bearer: string): Promise<unknown> => {
  const headers = { "content-type": "application/json", authorization: `Bearer ${bearer}` };
  const response = await fetch(`${shop.broker.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  return response.json();
};
const read = async (path: string): Promise<string> =>
  (await fetch(`${shop.broker.url}${path}`, { headers: { authorization: `Bearer ${shop.broker.operators.admin.reveal()}` } })).text();

describe("what opens something", () => {
  it("is found nowhere but in the answer: no log, audit, view, store or server holds it, whatever goes wrong", async () => {
    const { task, task_token: token } = (await send("/v1/tasks", {}, (await shop.evidence()).reveal())) as {
      readonly task: string;
      readonly task_token: string;
    };
    const canaries = [BROKER_PASSWORD, MAKER_KEY, HANDLE, MADE, token, ...secretsOf({ type: "new", key: github.privateKey })];
    const ask = (name: string): Promise<unknown> => send(`/v1/tasks/${task}/credentials`, { grant: name }, token);
    const ask201 = async (name: string): Promise<CredentialView> => CredentialView.parse(await ask(name));
    const issued = [];
    for (const name of ["orders", "web", "mesh", "source", "made"]) issued.push(await ask201(name));
    canaries.push(...issued.flatMap(({ credential }) => secretsOf(credential)));
    expect(canaries.length).toBeGreaterThan(20);

    // what a target says, and what goes wrong, may hold what it was told
    maker.next.push((asked, response) => json(500, { detail: `no: ${JSON.stringify(asked.headers)} ${MADE} ${HANDLE}` })(asked, response));
    maker.next.push(json(200, { lease_id: "x", credential: { secret: { name: "password", value: MADE } }, [MADE]: HANDLE }));
    expect(await ask("made")).toMatchObject({ code: "issuer_unavailable" });
    await database.server.sql("ALTER ROLE stint PASSWORD 'another-password'");
    await database.server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'stint'");
    expect(await ask("orders")).toMatchObject({ code: "issuer_unavailable" });
    await writeFile(join(folder, "password"), "another-password");
    for (const name of ["orders", "web", "mesh"])
      expect(await send(`/v1/targets/${name}/rotate`, { reason: "story" }, shop.broker.operators.admin.reveal())).toMatchObject({ name });
    const views = await Promise.all(["/v1/targets", "/v1/leases", "/v1/audit", `/v1/leases/${issued[0]?.lease_id}`].map(read));
    const published = await Promise.all(["web/ca.pub", "web/krl", "mesh/ca.pem", "mesh/crl.pem"].map((path) => read(`/targets/${path}`)));
    await send(`/v1/tasks/${task}/complete`, { outcome: "success" }, token);
    await shop.broker.sweep();
    await shop.broker.settled();

    const places = {
      log: JSON.stringify(shop.broker.logged),
      audit: JSON.stringify(await shop.broker.audit.records()),
      redis: await everythingIn(shop.broker.redis.client()),
      postgres: await database.server.log(),
      views: views.join(""),
      published: published.join(""),
    };
    // each of them holds something
    expect(Object.values(places).every((text) => text.length > 100)).toBe(true);
    expect(places.log).toContain("a credential could not be made");
    for (const [place, text] of Object.entries(places)) {
      const found = canaries.filter((canary) => [canary, JSON.stringify(canary).slice(1, -1)].some((form) => text.includes(form)));
      expect([place, found]).toEqual([place, []]);
      expect([
        place,
        /PRIVATE KEY|another-password/.test(
          place === "postgres" ? text.replaceAll("ALTER ROLE stint PASSWORD 'another-password'", "") : text,
        ),
      ]).toEqual([place, false]);
    }
  });
});
