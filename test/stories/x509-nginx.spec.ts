import { expect, it } from "@jest/globals";
import { writeFile } from "node:fs/promises";
import { request } from "node:https";
import { join } from "node:path";
import type { Issuer } from "../../domain/credential.ts";
import type { X509Params } from "../../issuers/x509/settings.ts";
import { orderFor } from "../contract/issuer-contract.ts";
import { blocksIn } from "../docs/pages.ts";
import { fakeClock, type FakeClock } from "../support/clock.ts";
import { describeWith } from "../support/needs.ts";
import { findNginx, startNginx, type Nginx } from "../support/nginx.ts";
import { selfSigned } from "../support/self-signed.ts";
import { folder, openX509, published, SETTINGS, sharedTarget } from "../support/x509.ts";
import { suppliedCa } from "../support/supplied-ca.ts";

const withNginx = describeWith("nginx", await findNginx());
const GRANT = { spiffe_id: "spiffe://acme.test/ci/deploy" };
const signal = (): AbortSignal => AbortSignal.timeout(5_000);

/** The server of the page on this issuer, as it stands, with the files of this test. */
const snippet = (page: string): string =>
  blocksIn("nginx")
    .find((block) => block.page === "docs/issuers/x509.md")
    ?.text.replaceAll("/etc/nginx/stint/", `${page}/`) ?? "";

interface Server extends AsyncDisposable {
  /** What the server says to a client with this certificate (none, if undefined). */
  ask(client?: { readonly cert: string; readonly key: string }): Promise<number>;
  /** Writes what the issuer publishes now beside the server, and lets it read that; `more` stands behind the lists. */
  fetch(issuer: Issuer<X509Params>, more?: { readonly lists?: string }): Promise<void>;
  /** Asks again until this is the answer: for a moment after a reload the worker of before may still take a connection. */
  settles(client: { readonly cert: string; readonly key: string }, status: number): Promise<void>;
}

async function startServer(binary: string, issuer: Issuer<X509Params>, more: { readonly lists?: string } = {}): Promise<Server> {
  const place = await folder();
  const own = selfSigned("127.0.0.1", { days: 1 });
  await writeFile(join(place.path, "server.pem"), own.cert);
  await writeFile(join(place.path, "server.key"), own.key);
  const started: { nginx?: Nginx } = {};
  const fetch: Server["fetch"] = async (from, { lists = "" } = {}) => {
    await writeFile(join(place.path, "ca.pem"), await published(from, "ca.pem"));
    await writeFile(join(place.path, "crl.pem"), (await published(from, "crl.pem")).toString() + lists);
    started.nginx?.reload();
  };
  const ask: Server["ask"] = (client) =>
    new Promise((resolve, reject) => {
      const sent = request(
        { host: "127.0.0.1", port: started.nginx?.port, path: "/", agent: false, ca: own.cert, ...client },
        (response) => (response.resume(), response.on("end", () => resolve(response.statusCode ?? 0))),
      );
      sent.on("error", reject).end();
    });
  await fetch(issuer, more);
  const nginx = await startNginx(binary, `${snippet(place.path)}\nlocation / { return 200 "in"; }`, { listen: "ssl", reloads: true });
  started.nginx = nginx;
  return {
    ask,
    fetch,
    async settles(client, status) {
      for (let tries = 0; tries < 100; tries += 1) {
        if ((await ask(client)) === status) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      expect(await ask(client)).toBe(status);
    },
    async [Symbol.asyncDispose]() {
      await nginx[Symbol.asyncDispose]();
      await place[Symbol.asyncDispose]();
    },
  };
}

async function certificate(issuer: Issuer<X509Params>, now: FakeClock, more: { readonly ttlMs?: number } = {}) {
  const order = orderFor<X509Params>({ issuer, settings: GRANT, now }, { expiresAt: now() + (more.ttlMs ?? 600_000) });
  const { credential } = await issuer.issue(order, signal());
  const revoke = () => issuer.revoke({ leaseId: order.leaseId, handle: undefined, expiresAt: order.expiresAt }, signal());
  return { cert: credential.token.reveal(), key: credential.secrets?.["private_key"]?.reveal() ?? "", revoke };
}

withNginx("a real nginx that verifies clients", (binary) => {
  it("lets a good certificate in, and nobody without one, with another CA's or with one that has ended", async () => {
    const clock = fakeClock(Date.now());
    const issuer = openX509(sharedTarget(clock));
    const stranger = openX509(sharedTarget(clock));
    await using server = await startServer(binary, issuer);
    expect(await server.ask(await certificate(issuer, clock))).toBe(200);
    expect(await server.ask()).toBe(400);
    expect(await server.ask(await certificate(stranger, clock))).toBe(400);
    expect(await server.ask(await certificate(issuer, clock, { ttlMs: -5_000 }))).toBe(400);
    expect(await server.ask(selfSigned("client", { days: 1 }))).toBe(400);
  });

  it("refuses what was revoked as soon as it has read the list, and goes on to take what was not", async () => {
    const clock = fakeClock(Date.now());
    const issuer = openX509(sharedTarget(clock));
    const [kept, ended] = [await certificate(issuer, clock), await certificate(issuer, clock)];
    await using server = await startServer(binary, issuer);
    expect(await server.ask(ended)).toBe(200);
    await ended.revoke();
    await server.fetch(issuer);
    await server.settles(ended, 400);
    expect(await server.ask(kept)).toBe(200);
  });

  it("refuses even what was revoked before it was made", async () => {
    const clock = fakeClock(Date.now());
    const issuer = openX509(sharedTarget(clock));
    const order = orderFor<X509Params>({ issuer, settings: GRANT, now: clock });
    await issuer.revoke({ leaseId: order.leaseId, handle: undefined, expiresAt: order.expiresAt }, signal());
    const { credential } = await issuer.issue(order, signal());
    await using server = await startServer(binary, issuer);
    expect(await server.ask({ cert: credential.token.reveal(), key: credential.secrets?.["private_key"]?.reveal() ?? "" })).toBe(400);
  });

  it("takes certificates of both CAs through a rotation, and revokes of both", async () => {
    const clock = fakeClock(Date.now() - 3_600_000);
    const issuer = openX509(sharedTarget(clock), { ...SETTINGS, ca: { announce: "30m" } });
    const [old, oldEnded] = [
      await certificate(issuer, clock, { ttlMs: 7_200_000 }),
      await certificate(issuer, clock, { ttlMs: 7_200_000 }),
    ];
    await issuer.rotate?.(signal());
    clock.set(Date.now());
    const young = await certificate(issuer, clock);
    await using server = await startServer(binary, issuer);
    expect([await server.ask(old), await server.ask(young), await server.ask(oldEnded)]).toEqual([200, 200, 200]);
    await oldEnded.revoke();
    await young.revoke();
    await server.fetch(issuer);
    await server.settles(oldEnded, 400);
    await server.settles(young, 400);
    expect(await server.ask(old)).toBe(200);
  });

  it("takes certificates of an intermediate that was supplied, beside the list of who signed it", async () => {
    const clock = fakeClock(Date.now());
    const shared = sharedTarget(clock);
    const above = await suppliedCa(clock());
    shared.secrets.set("file:ca.pem", above.certificate).set("file:ca.key", above.key);
    const issuer = openX509(shared, { ...SETTINGS, ca: { certificate: "file:ca.pem", key: "file:ca.key" } });
    const [kept, ended] = [await certificate(issuer, clock), await certificate(issuer, clock)];
    expect(kept.cert.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    await using server = await startServer(binary, issuer, { lists: above.list });
    expect([await server.ask(kept), await server.ask(ended)]).toEqual([200, 200]);
    await ended.revoke();
    await server.fetch(issuer, { lists: above.list });
    await server.settles(ended, 400);
    expect(await server.ask(kept)).toBe(200);
  });
});
