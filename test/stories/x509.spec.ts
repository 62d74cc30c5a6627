import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { fakeClock, type FakeClock } from "../support/clock.ts";
import { ifPresent } from "../support/needs.ts";
import { openTask, type Answer, type OpenTask } from "../support/open-task.ts";
import type { Shop } from "../support/shop.ts";
import { dns, folder, openssl, p256, requestFor, uri, wishCa, wishNames } from "../support/x509.ts";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

const withOpenssl = ifPresent("openssl");
const MESH = `
---
kind: Target
name: mesh
owner: team-platform
issuer: x509
trust_domain: acme.test
domains: [acme.test]
list_read_every: 30s
---
kind: Grant
name: mesh
owner: team-payments
sensitivity: medium
allow:
  - { trust: github, claims: { repository_id: "456789" } }
issue: { target: mesh, spiffe_id: "spiffe://acme.test/ci/{id}", dns_names: [ci.acme.test], ttl: 10m }
`;

let clock: FakeClock;
let shop: Shop;
let task: OpenTask["task"];
let send: OpenTask["send"];
let ask: (options?: object) => Promise<Answer>;
beforeEach(async () => {
  clock = fakeClock(Date.now());
  const opened = await openTask({ clock, more: MESH });
  ({ shop, task, send } = opened);
  ask = (options) => opened.credential("mesh", options);
});
afterEach(async () => shop[Symbol.asyncDispose]());

const read = async (name: string): Promise<Response> => fetch(`${shop.broker.url}/targets/mesh/${name}`);
const text = async (name: string): Promise<string> => (await read(name)).text();

describe("a certificate, from a whole broker", () => {
  it("is what the answer says, and verifies by what the broker publishes", async () => {
    const { status, body } = await ask();
    expect(status).toBe(201);
    expect(body).toMatchObject({
      issuer: "mesh",
      revocation: "verifier_checked",
      credential: { type: "x509_certificate", spiffe_id: "spiffe://acme.test/ci/456789" },
    });
    const leaf = new X509Certificate(body.credential["certificate"] ?? "");
    expect(leaf.verify(new X509Certificate(await text("ca.pem")).publicKey)).toBe(true);
    expect(leaf.checkPrivateKey(createPrivateKey(body.credential["private_key"] ?? ""))).toBe(true);
    expect(body.credential["ca"]).toBe(await text("ca.pem"));
    expect(Date.parse(leaf.validTo)).toBeLessThanOrEqual(Date.parse(String(body["expires_at"])));
    expect(body.credential["not_after"]).toBe(new Date(leaf.validTo).toISOString());
  });

  withOpenssl.it("is found by its serial, and stands on the list once its task has ended", async () => {
    await using place = await folder();
    const { body } = await ask();
    const serial = body.credential["serial"] ?? "";
    const viewer = { authorization: `Bearer ${shop.broker.operators.viewer.reveal()}` };
    const found = await fetch(`${shop.broker.url}/v1/leases?external_name=${serial}`, { headers: viewer });
    expect(await found.json()).toMatchObject({ items: [{ id: body["lease_id"] }] });
    const verify = async () => {
      for (const name of ["ca.pem", "crl.pem"]) await writeFile(join(place.path, name), await text(name));
      await writeFile(join(place.path, "leaf"), body.credential["certificate"] ?? "");
      return openssl(["verify", "-crl_check", "-CAfile", "ca.pem", "-CRLfile", "crl.pem", "leaf"], place.path);
    };
    const before = await verify();
    const receipt = await send(`/v1/tasks/${task.task}/complete`, { outcome: "success" }, task.task_token);
    // on the list at once, and read by all who check it half a minute (and a second of ours) later
    const [ended] = receipt.body["leases"] as readonly Readonly<Record<string, string>>[];
    expect(ended).toMatchObject({ issuer: "mesh", outcome: "dead_by", revocation: "verifier_checked" });
    expect(Date.parse(ended?.["dead_by"] ?? "") - clock()).toBe(31_000);
    const after = await verify();
    clock.advance({ seconds: 31 });
    const later = await send(`/v1/tasks/${task.task}/complete`, { outcome: "success" }, task.task_token);
    expect(later.body).toMatchObject({ settled: true, leases: [{ outcome: "revoked", dead_by: ended?.["dead_by"] }] });
    expect(before.said).toContain("OK");
    expect(after.said).toContain("certificate revoked");
  });

  it("takes a request's key, and refuses a bad request before anything is recorded", async () => {
    const key = p256();
    const good = await ask({ csr: requestFor(key, { extensions: [wishNames(uri("spiffe://acme.test/ci/456789"), dns("ci.acme.test"))] }) });
    expect(good.status).toBe(201);
    expect(good.body.credential["private_key"]).toBeUndefined();
    expect(new X509Certificate(good.body.credential["certificate"] ?? "").checkPrivateKey(key)).toBe(true);
    const leases = (await shop.broker.audit.records()).filter(({ action }) => action.startsWith("lease.")).length;
    for (const csr of [
      requestFor(key, { signer: p256() }),
      requestFor(key, { extensions: [wishCa()] }),
      requestFor(key, { extensions: [wishNames(dns("evil.test"))] }),
      7,
    ]) {
      const refused = await ask({ csr });
      expect(refused).toMatchObject({ status: 400, body: { code: "invalid_request" } });
      expect(JSON.stringify(refused.body)).not.toContain("BEGIN");
    }
    expect((await shop.broker.audit.records()).filter(({ action }) => action.startsWith("lease."))).toHaveLength(leases);
  });

  it("leaves no private key in the log or in the audit; canaries.spec.ts looks into the store", async () => {
    const { body } = await ask();
    await shop.broker.services.targets.document("mesh", "crl");
    const key = (body.credential["private_key"] ?? "").split("\n")[1] ?? "";
    expect(key.length).toBeGreaterThan(60);
    const seen = JSON.stringify([shop.broker.logged, await shop.broker.audit.records()]);
    expect(seen).toContain(task.task);
    expect(seen).not.toContain(key);
    expect(seen).not.toContain("PRIVATE KEY");
  });

  it("is checked by documents of the right kind, for everybody", async () => {
    const list = await read("crl");
    expect([list.status, list.headers.get("content-type"), list.headers.get("cache-control")]).toEqual([
      200,
      "application/pkix-crl",
      "public, max-age=0",
    ]);
    expect(Buffer.from(await list.arrayBuffer())[0]).toBe(0x30);
    expect((await read("crl-1")).status).toBe(200);
    expect((await read("crl-4")).status).toBe(404);
    expect((await read("key")).status).toBe(404);
    expect(await (await read("bundle")).json()).toMatchObject({ keys: [{ use: "x509-svid" }] });
  });
});
