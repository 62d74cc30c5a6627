import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { portsOf, sealedAs } from "../../../broker/targets/ports.ts";
import { resealAll } from "../../../broker/reseal.ts";
import { targetSecrets } from "../../../broker/targets/reseal.ts";
import { Secret } from "../../../domain/secret.ts";
import { openStore, type OpenedStore } from "../../../store/open.ts";
import { createSealer, type Sealer } from "../../../store/sealing.ts";
import { fakeClock } from "../../support/clock.ts";
import { startRedis, type TestRedis } from "../../support/redis.ts";

const HOUR = 3_600_000;
const clock = fakeClock("2026-03-02T12:00:00Z");
const [old, fresh] = [randomBytes(32), randomBytes(32)];
let redis: TestRedis;
let store: OpenedStore;
let folder: string;
beforeAll(async () => {
  redis = await startRedis();
  store = await openStore({ url: redis.url, requireAof: false, clock: { now: clock, agreed: () => true, offsetMs: () => 0 } });
  folder = await mkdtemp(join(tmpdir(), "stint-ports-"));
});
afterAll(async () => {
  await store.close();
  await redis.stop();
  await rm(folder, { recursive: true, force: true });
});
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
const ports = (target: string, sealer: Sealer = createSealer([old])) =>
  portsOf(target, {
    url: "https://stint.test",
    now: clock,
    records: store.targets,
    sealer,
    policyPath: folder,
    variable: (name) => (name === "DB_PASSWORD" ? "from the environment" : undefined),
    log: quiet,
  });

describe("a target's secrets", () => {
  it("are read anew each time, from the environment or from a file beside the configuration", async () => {
    const { secret } = ports("db");
    expect((await secret("env:DB_PASSWORD")).reveal()).toBe("from the environment");
    await writeFile(join(folder, "password"), "one\n");
    expect((await secret("file:password")).reveal()).toBe("one");
    await writeFile(join(folder, "password"), "two");
    expect((await secret("file:password")).reveal()).toBe("two");
  });

  it("say where they should be when they are not there", async () => {
    const { secret } = ports("db");
    await expect(secret("env:NOBODY")).rejects.toThrow("there is nothing at env:NOBODY: put the secret there");
    await expect(secret("file:nobody")).rejects.toThrow("there is nothing at file:nobody");
    await writeFile(join(folder, "empty"), "");
    await expect(secret("file:empty")).rejects.toThrow("there is nothing at file:empty");
    await writeFile(join(folder, "long"), "x".repeat(65 * 1024));
    await expect(secret("file:long")).rejects.toThrow("too long");
  });

  it("that are made here are sealed, and written over only what was read", async () => {
    const [one, two] = [ports("vault"), ports("vault")];
    expect(await one.vault.read("ca")).toBeUndefined();
    expect(await one.vault.swap("ca", undefined, new Secret("first"))).toBe(true);
    expect(await two.vault.swap("ca", undefined, new Secret("second"))).toBe(false);
    expect((await two.vault.read("ca"))?.reveal()).toBe("first");
    expect(await two.vault.swap("ca", new Secret("first"), new Secret("second"))).toBe(true);
    expect(await one.vault.swap("ca", new Secret("first"), new Secret("third"))).toBe(false);
    expect((await one.vault.read("ca"))?.reveal()).toBe("second");
    expect(await store.targets.secret("vault", "ca")).not.toContain("second");
    expect(await ports("other").vault.read("ca")).toBeUndefined();
  });

  it("cannot be opened as another target's, or under another name", async () => {
    const sealer = createSealer([old]);
    await store.targets.swapSecret("thief", "ca", undefined, sealer.seal("target-secret", sealedAs("victim", "ca"), new Secret("x")));
    await expect(ports("thief").vault.read("ca")).rejects.toThrow("could not be opened");
  });

  it("follow the master key when it changes; one that no key opens is named, and stops none of the others", async () => {
    const warned: unknown[] = [];
    const log = { ...quiet, warn: (fields: unknown) => void warned.push(fields) };
    await ports("rotating").vault.swap("ca", undefined, new Secret("kept"));
    const both = createSealer([fresh, old]);
    expect(await resealAll(targetSecrets(store.targets), both, log)).toBeGreaterThan(0);
    expect((await ports("rotating", createSealer([fresh])).vault.read("ca"))?.reveal()).toBe("kept");
    expect(warned[0]).toEqual({ purpose: "target-secret", records: ["thief/ca"] });
    expect(await resealAll(targetSecrets(store.targets), both, log)).toBe(0);
  });
});

describe("revoked serials", () => {
  it("are listed once, until a while after their end, under a number that only grows", async () => {
    const { revoked } = ports("list");
    expect(await revoked.all()).toEqual({ number: 0, entries: [] });
    const now = clock();
    expect(await revoked.add("17", now + HOUR)).toBe("revoked");
    expect(await revoked.add("17", now + HOUR)).toBe("already_gone");
    const first = await revoked.all();
    expect(first.entries).toEqual([{ serial: "17", revokedAt: now, expiresAt: now + HOUR }]);
    expect(first.number).toBeGreaterThanOrEqual(now);
    expect(await revoked.add("18", now + 2 * HOUR)).toBe("revoked");
    expect((await revoked.all()).number).toBeGreaterThan(first.number);
    expect((await revoked.all()).entries.map(({ serial }) => serial)).toEqual(["17", "18"]);
    clock.advance({ minutes: 75 });
    expect(await revoked.add("19", clock() + HOUR)).toBe("revoked");
    expect((await revoked.all()).entries.map(({ serial }) => serial)).toEqual(["18", "19"]);
  });

  it("of one target are none of another's", async () => {
    await ports("left").revoked.add("1", clock() + HOUR);
    expect((await ports("right").revoked.all()).entries).toEqual([]);
  });

  it("stay listed as long as the longest end that was given", async () => {
    const { revoked } = ports("longest");
    await revoked.add("1", clock() + HOUR);
    await revoked.add("1", clock() + 3 * HOUR);
    expect((await revoked.all()).entries).toMatchObject([{ serial: "1", expiresAt: clock() + 3 * HOUR }]);
  });
});
