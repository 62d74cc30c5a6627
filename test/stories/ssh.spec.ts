import { afterEach, beforeEach, expect, it } from "@jest/globals";
import { sshSerial } from "../../issuers/naming.ts";
import type { LeaseId } from "../../domain/ids.ts";
import { fakeClock, type FakeClock } from "../support/clock.ts";
import { everythingIn } from "../support/everything-in.ts";
import { openTask, type Answer, type OpenTask } from "../support/open-task.ts";
import type { Shop } from "../support/shop.ts";
import { startSshd } from "../support/sshd.ts";
import { desk, withSsh } from "../issuers/ssh/support.ts";

const WEB = `
---
kind: Target
name: web
owner: team-platform
issuer: ssh
list_read_every: 30s
host: web.shop.test
---
kind: Grant
name: web
owner: team-payments
sensitivity: medium
allow:
  - { trust: github, claims: { repository_id: "456789" } }
issue: { target: web, principals: [deploy, backup], ttl: 10m }
`;

let clock: FakeClock;
let shop: Shop;
let task: OpenTask["task"];
let send: OpenTask["send"];
let ask: (options?: object) => Promise<Answer>;
beforeEach(async () => {
  clock = fakeClock(Date.now());
  const opened = await openTask({ clock, more: WEB });
  ({ shop, task, send } = opened);
  ask = (options) => opened.credential("web", options);
});
afterEach(async () => shop[Symbol.asyncDispose]());

const read = async (name: string): Promise<Response> => fetch(`${shop.broker.url}/targets/web/${name}`);
const bytes = async (name: string): Promise<Buffer> => Buffer.from(await (await read(name)).arrayBuffer());
const heldIn = ({ body: { credential } }: Answer) => ({
  certificate: credential["certificate"] ?? "",
  privateKey: credential["private_key"] ?? "",
});

withSsh("an SSH certificate, from a whole broker", (programs) => {
  it("opens a host while its task goes on, and not after, with a receipt of when every host knows", async () => {
    const [mine, other] = [await ask(), await ask()];
    expect(mine).toMatchObject({
      status: 201,
      body: { issuer: "web", revocation: "verifier_checked", credential: { type: "ssh_certificate", host: "web.shop.test" } },
    });
    const id = String(mine.body["lease_id"]) as LeaseId;
    expect(mine.body.credential["serial"]).toBe(sshSerial(id).toString());
    await using sshd = await startSshd(programs, { ca: (await bytes("ca.pub")).toString(), krl: await bytes("krl") });
    expect(await sshd.login(heldIn(mine))).toMatchObject({ code: 0, out: "welcome\n" });
    expect(await sshd.log()).toContain(`ID ${mine.body.credential["key_id"]} (serial ${mine.body.credential["serial"]})`);
    await send(`/v1/leases/${String(other.body["lease_id"])}/release`, {}, task.task_token);
    await sshd.put("krl", await bytes("krl"));
    expect(await sshd.login(heldIn(other))).toMatchObject({ code: 255 });
    expect(await sshd.login(heldIn(mine))).toMatchObject({ code: 0 });
    const { body: receipt } = await send(`/v1/tasks/${task.task}/complete`, { outcome: "success" }, task.task_token);
    const ended = (receipt["leases"] as readonly Readonly<Record<string, string>>[]).find(({ lease_id }) => lease_id === id);
    expect(ended).toMatchObject({ issuer: "web", outcome: "dead_by", revocation: "verifier_checked" });
    expect(Date.parse(ended?.["dead_by"] ?? "") - clock()).toBe(30_000);
    await sshd.put("krl", await bytes("krl"));
    expect(await sshd.login(heldIn(mine))).toMatchObject({ code: 255 });
  });

  it("is found by the serial that sshd logs", async () => {
    const { body } = await ask();
    const headers = { authorization: `Bearer ${shop.broker.operators.viewer.reveal()}` };
    const found = await fetch(`${shop.broker.url}/v1/leases?external_name=${body.credential["serial"]}`, { headers });
    expect(await found.json()).toMatchObject({ items: [{ id: body["lease_id"] }] });
  });

  it("takes the asker's key, and refuses what is none, and principals that the grant does not have, before anything is recorded", async () => {
    await using files = await desk();
    await files.keygen("-q", "-t", "ecdsa", "-N", "", "-f", `${files.folder}/id`);
    const public_key = await files.read("id.pub");
    const good = await ask({ public_key, principals: ["backup"] });
    expect(good).toMatchObject({ status: 201, body: { credential: { principals: ["backup"] } } });
    expect(good.body.credential["private_key"]).toBeUndefined();
    const leases = async (): Promise<number> =>
      (await shop.broker.audit.records()).filter(({ action }) => action.startsWith("lease.")).length;
    const before = await leases();
    for (const options of [
      { public_key: `${public_key}${public_key}` },
      { public_key: await files.read("id") },
      { public_key: 7 },
      { principals: ["root"] },
      { principals: [] },
      { principals: ["deploy,root"] },
      { force_command: "id" },
    ]) {
      const refused = await ask(options);
      expect(refused).toMatchObject({ status: 400, body: { code: "invalid_request" } });
      expect(JSON.stringify(refused.body)).not.toContain("PRIVATE KEY");
    }
    expect(await leases()).toBe(before);
  });

  it("leaves no private key in the log, in the audit or, open, in the store", async () => {
    const secret = heldIn(await ask()).privateKey.split("\n")[3] ?? "";
    expect(secret.length).toBeGreaterThan(60);
    await bytes("krl");
    const stored = await everythingIn(shop.broker.redis.client());
    expect(stored).toContain(task.task);
    const seen = JSON.stringify([shop.broker.logged, await shop.broker.audit.records(), stored]);
    expect(seen).not.toContain(secret);
    expect(seen).not.toContain("PRIVATE KEY");
  });

  it("is not what the token endpoint gives: that has room for one bearer token", async () => {
    const form = new URLSearchParams({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      subject_token: (await shop.evidence()).reveal(),
      scope: "grant:web",
    });
    const response = await fetch(`${shop.broker.url}/oauth2/token`, { method: "POST", body: form });
    expect({ status: response.status, body: await response.json() }).toMatchObject({ status: 400, body: { code: "not_a_token" } });
  });

  it("is checked by documents of the right kind, for everybody, through a rotation of the CA", async () => {
    const [list, ca] = [await read("krl"), await read("ca.pub")];
    const kindOf = ({ status, headers }: Response) => [status, headers.get("content-type"), headers.get("cache-control")];
    expect(kindOf(list)).toEqual([200, "application/octet-stream", "public, max-age=0"]);
    expect(kindOf(ca)).toEqual([200, "text/plain; charset=utf-8", "public, max-age=30"]);
    expect((await read("ca")).status).toBe(404);
    const old = await ca.text();
    expect(old.trim().split("\n")).toHaveLength(1);
    const rotated = await send("/v1/targets/web/rotate", { reason: "yearly" }, shop.broker.operators.admin.reveal());
    expect(rotated.status).toBe(200);
    const both = await (await read("ca.pub")).text();
    expect(both.trim().split("\n")).toHaveLength(2);
    expect(both.startsWith(old)).toBe(true);
    clock.advance({ hours: 24 });
    expect((await (await read("ca.pub")).text()).endsWith(old)).toBe(true);
  });
});
