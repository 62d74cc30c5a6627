import { describe, expect, it } from "@jest/globals";
import { inspect } from "node:util";
import { PermanentFailure, RetryableFailure, type Issuer } from "../../../domain/credential.ts";
import { Secret } from "../../../domain/secret.ts";
import { systemClock } from "../../../domain/time.ts";
import { fingerprintOf } from "../../../issuers/ssh/ca-key.ts";
import { makeKeyPair } from "../../../issuers/ssh/private-key.ts";
import { lineOf, parsePublicKey } from "../../../issuers/ssh/public-key.ts";
import type { SshParams } from "../../../issuers/ssh/settings.ts";
import { fakeClock } from "../../support/clock.ts";
import { startSshd } from "../../support/sshd.ts";
import { targetPorts } from "../../support/target-ports.ts";
import { caLines, desk, fetched, issueWith, openSsh, withSsh } from "./support.ts";

const signal = AbortSignal.timeout(60_000);
const linesOf = async (issuer: Issuer<SshParams>): Promise<readonly string[]> => (await caLines(issuer)).trim().split("\n").filter(Boolean);
const fingerprints = async (issuer: Issuer<SshParams>): Promise<readonly string[]> =>
  (await linesOf(issuer)).map((line) => fingerprintOf(parsePublicKey(line)));
/** Who signs, as a certificate made now says. */
const signerOf = async (issuer: Issuer<SshParams>): Promise<string> => (await issuer.examine?.(signal))?.server?.split(" ").at(-1) ?? "";

describe("a CA of our own", () => {
  it("is made once, whichever broker comes first, and named after its target", async () => {
    const clock = fakeClock();
    const ports = targetPorts(clock);
    const brokers = Array.from({ length: 8 }, () => openSsh({}, ports));
    const lines = await Promise.all(brokers.map(caLines));
    expect(new Set(lines).size).toBe(1);
    expect(lines[0]).toMatch(/^ssh-ed25519 [A-Za-z0-9+/]+ stint:web@stint\.acme\.dev\n$/);
    expect([...ports.held.keys()]).toEqual(["ca"]);
  });

  it("never leaves the vault, nor prints", async () => {
    const ports = targetPorts(fakeClock());
    const issuer = openSsh({}, ports);
    const { issued } = await issueWith(issuer);
    const pem = (JSON.parse(ports.held.get("ca")?.reveal() ?? "") as { current: { key: string } }).current.key;
    const secret = pem.split("\n")[1] ?? "none";
    const documents = (await caLines(issuer)) + Buffer.from(await fetched(issuer, "krl")).toString("latin1");
    expect([JSON.stringify(issued), documents, issued.credential.token.reveal()].join()).not.toContain(secret);
  });

  it("says that it must be tried again when others keep changing it", async () => {
    const ports = { ...targetPorts(fakeClock()), vault: { read: async () => undefined, swap: async () => false } };
    await expect(issueWith(openSsh({}, ports))).rejects.toThrow(RetryableFailure);
  });
});

describe("a rotation of the CA", () => {
  it("announces the next CA before it signs, keeps the last one published while its certificates live, and then forgets it", async () => {
    const clock = fakeClock();
    const ports = targetPorts(clock);
    const [here, there] = [openSsh({ ca: { announce: "2h" } }, ports), openSsh({ ca: { announce: "2h" } }, ports)];
    const [old = ""] = await fingerprints(here);
    await here.rotate?.(signal);
    const [first, next = ""] = await fingerprints(there);
    expect(first).toBe(old);
    expect(await signerOf(here)).toBe(old);
    expect((await there.examine?.(signal))?.warnings).toContain(
      "the next CA signs from 2026-03-02T14:00:00.000Z on; until then every host must have read ca.pub",
    );
    clock.advance({ minutes: 119 });
    expect(await signerOf(there)).toBe(old);
    clock.advance({ minutes: 1 });
    expect(await signerOf(there)).toBe(next);
    expect(await signerOf(here)).toBe(next);
    expect(await fingerprints(here)).toEqual([next, old]);
    expect(
      ports.held
        .get("ca")
        ?.reveal()
        .match(/PRIVATE KEY/g),
    ).toHaveLength(2); // one key, its first and its last line
    clock.advance({ hours: 24, minutes: 6 });
    expect(await fingerprints(here)).toEqual([next]);
  });

  it("asked for twice, by anybody, is one", async () => {
    const ports = targetPorts(fakeClock());
    const [here, there] = [openSsh({}, ports), openSsh({}, ports)];
    await Promise.all([here.rotate?.(signal), there.rotate?.(signal), here.rotate?.(signal)]);
    expect(await fingerprints(here)).toHaveLength(2);
    const before = ports.held.get("ca");
    await there.rotate?.(signal);
    expect(ports.held.get("ca")).toBe(before);
  });

  it("that died anywhere stands in the vault whole or not at all", async () => {
    const ports = targetPorts(fakeClock());
    const failing = openSsh({}, { ...ports, vault: { ...ports.vault, swap: async () => Promise.reject(new RetryableFailure("gone")) } });
    const issuer = openSsh({}, ports);
    const [old] = await fingerprints(issuer);
    await expect(failing.rotate?.(signal)).rejects.toThrow("gone");
    expect(await fingerprints(issuer)).toEqual([old]);
  });

  withSsh("under a real sshd", (programs) => {
    it("goes on: certificates of both CAs open it, and lists name both", async () => {
      const [clock, real] = [fakeClock(systemClock()), systemClock];
      const ports = targetPorts(clock);
      const issuer = openSsh({ ca: { announce: "1m" } }, ports);
      await using sshd = await startSshd(programs, { ca: await caLines(issuer), krl: await fetched(issuer, "krl") });
      const [old, oldRevoked] = [await issueWith(issuer), await issueWith(issuer)];
      await issuer.rotate?.(signal);
      await sshd.put("ca.pub", await caLines(issuer));
      clock.advance({ minutes: 1 });
      const times = { issuedAt: real(), expiresAt: real() + 60_000 };
      const [fresh, freshRevoked] = [await issueWith(issuer, undefined, {}, times), await issueWith(issuer, undefined, {}, times)];
      for (const one of [old, oldRevoked, fresh, freshRevoked]) expect(await sshd.login(one.held)).toMatchObject({ code: 0 });
      const end = clock() + 600_000;
      for (const { order } of [oldRevoked, freshRevoked]) await issuer.revoke({ ...order, handle: undefined, expiresAt: end }, signal);
      await sshd.put("krl", await fetched(issuer, "krl"));
      await sshd.put("ca.pub", await caLines(issuer));
      for (const one of [old, fresh]) expect(await sshd.login(one.held)).toMatchObject({ code: 0 });
      for (const one of [oldRevoked, freshRevoked]) expect(await sshd.login(one.held)).toMatchObject({ code: 255 });
    });
  });
});

describe("a CA that leaked", () => {
  it("is distrusted by its fingerprint: its announced successor signs at once, and its own line is gone", async () => {
    const clock = fakeClock();
    const ports = targetPorts(clock);
    const issuer = openSsh({}, ports);
    await issuer.rotate?.(signal);
    const [leaked = "", next = ""] = await fingerprints(issuer);
    const again = openSsh({ ca: { distrust: [leaked] } }, ports);
    expect(await fingerprints(again)).toEqual([next]);
    expect(await signerOf(again)).toBe(next);
  });

  it("that had no successor gets a new one; an announced or a retired one is left out", async () => {
    const clock = fakeClock();
    const ports = targetPorts(clock);
    const issuer = openSsh({ ca: { announce: "1h" } }, ports);
    const [leaked = ""] = await fingerprints(issuer);
    const second = openSsh({ ca: { distrust: [leaked] } }, ports);
    const [fresh = ""] = await fingerprints(second);
    expect(fresh).not.toBe(leaked);
    await second.rotate?.(signal);
    const [, announced = ""] = await fingerprints(second);
    expect(await fingerprints(openSsh({ ca: { distrust: [leaked, announced] } }, ports))).toEqual([fresh]);
    await issuer.rotate?.(signal);
    clock.advance({ hours: 1 });
    const both = await fingerprints(issuer);
    expect(both).toHaveLength(2);
    expect(await fingerprints(openSsh({ ca: { distrust: [both[1] ?? ""] } }, ports))).toEqual([both[0]]);
  });

  withSsh("under a real sshd", (programs) => {
    it("opens nothing any more, even where ca.pub is still the old one: the list names the CA", async () => {
      const ports = targetPorts(systemClock);
      const issuer = openSsh({}, ports);
      await using sshd = await startSshd(programs, { ca: await caLines(issuer), krl: await fetched(issuer, "krl") });
      const { held } = await issueWith(issuer);
      expect(await sshd.login(held)).toMatchObject({ code: 0 });
      const again = openSsh({ ca: { distrust: await fingerprints(issuer) } }, ports);
      await sshd.put("krl", await fetched(again, "krl"));
      expect(await sshd.login(held)).toMatchObject({ code: 255 });
      expect(await sshd.log()).toContain("revoked by file");
    });
  });
});

describe("a CA that somebody supplies", () => {
  const KEY = "file:ca";
  it("signs from the file as it is now, publishes others beside it, and is not ours to rotate", async () => {
    const ports = targetPorts(systemClock);
    const [mine, next] = [makeKeyPair("a"), makeKeyPair("b")];
    ports.secrets.set(KEY, mine.privateKey);
    const settings = { ca: { key: KEY, also: [lineOf(next.publicKey, "next"), lineOf(mine.publicKey, "itself")] } };
    const issuer = openSsh(settings, ports);
    expect(issuer.rotate).toBeUndefined();
    expect(await fingerprints(issuer)).toEqual([fingerprintOf(mine.publicKey), fingerprintOf(next.publicKey)]);
    ports.secrets.set(KEY, next.privateKey);
    expect(await signerOf(issuer)).toBe(fingerprintOf(next.publicKey));
    expect(ports.held.size).toBe(0);
  });

  it("is refused with what is wrong and where, and never with what it is", async () => {
    const ports = targetPorts(systemClock);
    const issuer = openSsh({ ca: { key: KEY } }, ports);
    await expect(issueWith(issuer)).rejects.toThrow(new RetryableFailure("there is nothing at file:ca: put the secret there"));
    ports.secrets.set(KEY, "s3cret that is no key");
    await expect(issueWith(issuer)).rejects.toThrow(
      new PermanentFailure("the CA key at file:ca cannot be used: it is no private key that can be read"),
    );
  });

  function distrusted() {
    const ports = targetPorts(systemClock);
    const { privateKey, publicKey } = makeKeyPair("a");
    ports.secrets.set(KEY, privateKey);
    const fingerprint = fingerprintOf(publicKey);
    return { fingerprint, issuer: openSsh({ ca: { key: KEY, distrust: [fingerprint] } }, ports) };
  }

  it("signs nothing while it is distrusted", async () => {
    const { issuer } = distrusted();
    await expect(issueWith(issuer)).rejects.toThrow("this target's only CA is one that it distrusts: supply another `ca.key`");
    expect(await caLines(issuer)).toBe("");
    expect((await issuer.examine?.(signal))?.warnings[0]).toBe("the only CA of this target is distrusted: nothing can be issued");
  });

  withSsh("and that is distrusted", () => {
    it("stands in the list, which goes on", async () => {
      const { issuer, fingerprint } = distrusted();
      await using files = await desk();
      const list = await files.put("krl", await fetched(issuer, "krl"));
      const hex = Buffer.from(fingerprint.slice(7), "base64").toString("hex");
      expect((await files.keygen("-Q", "-l", "-f", list)).out).toContain(`hash: SHA256:${hex}`);
    });
  });

  it("which the vault no longer holds as it was written is a fault, not another CA", async () => {
    const ports = targetPorts(systemClock);
    for (const held of [`{"generation":"s3cret"}`, "s3cret"]) {
      ports.held.set("ca", new Secret(held));
      const failure = await issueWith(openSsh({}, ports)).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(PermanentFailure);
      expect(inspect(failure)).not.toContain("s3cret");
      expect(ports.held.get("ca")?.reveal()).toBe(held);
    }
  });
});
