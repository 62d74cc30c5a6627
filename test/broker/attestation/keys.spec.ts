import { mkdtemp, rm, unlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "@jest/globals";
import type { Attestor } from "../../../broker/attestation/attestor.ts";
import { createAttestor } from "../../../broker/attestation/oidc.ts";
import type { Trust } from "../../../broker/policy/policy.ts";
import { fakeClock } from "../../support/clock.ts";
import { presetClaims } from "../../support/idp-claims.ts";
import { type IdpFault, type TestIdp, startIdp } from "../../support/idp.ts";
import { AUDIENCE, trust, trustMap } from "../../support/trust.ts";

interface Scene extends AsyncDisposable {
  readonly clock: ReturnType<typeof fakeClock>;
  readonly idp: TestIdp;
  readonly attestor: Attestor;
  readonly warnings: object[];
  token(options?: Parameters<TestIdp["token"]>[1]): Promise<string>;
}

async function scene(settings: Partial<Trust> = {}, timeoutMs = 300): Promise<Scene> {
  const clock = fakeClock();
  const idp = await startIdp({ clock, algorithm: "ES256" });
  const map = trustMap(trust({ preset: "gitlab", issuer: idp.issuer, algorithms: ["ES256"], ...settings }));
  const warnings: object[] = [];
  const attestor = createAttestor({
    trusts: () => map,
    clock,
    outside: { timeoutMs },
    log: { warn: (facts) => void warnings.push(facts) },
  });
  return {
    clock,
    idp,
    attestor,
    warnings,
    token: (options) => idp.token(presetClaims("gitlab", { aud: AUDIENCE }), { lifetimeSeconds: 80_000, ...options }),
    [Symbol.asyncDispose]: () => idp[Symbol.asyncDispose](),
  };
}

const settledCodes = async (attempts: readonly Promise<unknown>[]): Promise<Record<string, number>> => {
  const counts: Record<string, number> = {};
  for (const result of await Promise.allSettled(attempts)) {
    const code = result.status === "fulfilled" ? "ok" : String((result.reason as { code?: unknown }).code);
    counts[code] = (counts[code] ?? 0) + 1;
  }
  return counts;
};

describe("the keys of a trust", () => {
  it("are fetched once for all who ask at once, and then kept", async () => {
    await using at = await scene();
    const jwt = await at.token();
    expect(await settledCodes(Array.from({ length: 50 }, () => at.attestor.attest(jwt)))).toEqual({ ok: 50 });
    expect(at.idp.calls).toMatchObject({ discovery: 1, jwks: 1 });
    expect(at.attestor.keys()).toEqual([{ trust: "gitlab", keys: 1, fetchedAt: at.clock(), lastError: undefined }]);
  });

  it("cost two calls however many tokens name keys that nobody published, and good tokens don't wait", async () => {
    await using at = await scene();
    const good = await at.token();
    await at.attestor.attest(good);
    at.clock.advance({ seconds: 31 });
    at.idp.fault.jwks = "hang";
    const strangers = await Promise.all(Array.from({ length: 2000 }, (_, n) => at.token({ header: { kid: `made-up-${n}` } })));
    const storm = settledCodes(strangers.map((jwt) => at.attestor.attest(jwt)));
    const started = performance.now();
    await at.attestor.attest(good);
    expect(performance.now() - started).toBeLessThan(1000);
    expect(await storm).toEqual({ identity_keys_unavailable: 2000 });
    expect(at.idp.calls.discovery + at.idp.calls.jwks).toBeLessThanOrEqual(3); // two to begin with, one for the storm
    // a busy machine may give the storm's call up before it was sent
    const before = at.idp.calls.discovery + at.idp.calls.jwks;
    at.idp.fault = {};
    at.clock.advance({ seconds: 31 });
    expect(await settledCodes(strangers.slice(0, 50).map((jwt) => at.attestor.attest(jwt)))).toEqual({ invalid_identity: 50 });
    expect(at.idp.calls.discovery + at.idp.calls.jwks).toBe(before + 1);
  });

  it("are asked for once in thirty seconds while the provider is down", async () => {
    await using at = await scene();
    at.idp.fault.discovery = "error";
    const jwt = await at.token();
    expect(await settledCodes(Array.from({ length: 200 }, () => at.attestor.attest(jwt)))).toEqual({ identity_keys_unavailable: 200 });
    at.clock.advance({ seconds: 29 });
    await expect(at.attestor.attest(jwt)).rejects.toMatchObject({ code: "identity_keys_unavailable", facts: { retryAfterSeconds: 1 } });
    expect(at.idp.calls).toMatchObject({ discovery: 1, jwks: 0 });
    at.clock.advance({ seconds: 1 });
    at.idp.fault = {};
    await expect(at.attestor.attest(jwt)).resolves.toMatchObject({ trust: "gitlab" });
    expect(at.idp.calls).toMatchObject({ discovery: 2, jwks: 1 });
  });

  it("cost nobody a call when a stranger's token arrives", async () => {
    await using at = await scene();
    await using stranger = await startIdp({ clock: at.clock, algorithm: "ES256" });
    const claims = presetClaims("gitlab", { aud: AUDIENCE });
    const tokens = [
      stranger.token(claims),
      stranger.token({ ...claims, iss: `${at.idp.issuer}/` }),
      at.idp.token({ ...claims, aud: "https://other.test" }),
      at.idp.token({ ...claims, exp: at.clock() / 1000 - 60, iat: at.clock() / 1000 - 120, nbf: undefined }),
      at.idp.token(claims, { header: { alg: "HS256" } }),
      at.idp.token(claims, { header: { jku: stranger.jwksUri } }),
      at.idp.token(claims, { header: { x5u: stranger.jwksUri } }),
    ];
    for (const jwt of tokens) await expect(at.attestor.attest(await jwt)).rejects.toMatchObject({ name: "StintError" });
    expect(stranger.connections() + at.idp.connections()).toBe(0);
  });

  it("follow a rotation at once, after the cooldown", async () => {
    await using at = await scene();
    await at.attestor.attest(await at.token());
    await at.idp.rotate();
    const rotated = await at.token();
    await expect(at.attestor.attest(rotated)).rejects.toMatchObject({
      code: "invalid_identity",
      message: expect.stringContaining("does not publish"),
    });
    at.clock.advance({ seconds: 30 });
    await expect(at.attestor.attest(rotated)).resolves.toMatchObject({ trust: "gitlab" });
    expect(at.idp.calls).toMatchObject({ discovery: 1, jwks: 2 });
  });

  it("that were taken back are dead within ten minutes, and at once when somebody says so", async () => {
    await using at = await scene();
    const poisoned = await at.idp.rotate({ kid: "poison" });
    const jwt = await at.token();
    await at.attestor.attest(jwt);
    (at.idp.keys as unknown[]).splice(at.idp.keys.indexOf(poisoned), 1);
    await at.attestor.attest(jwt);
    at.attestor.forgetKeys("gitlab");
    await expect(at.attestor.attest(jwt)).rejects.toMatchObject({ code: "invalid_identity" });

    await using later = await scene();
    const old = await later.token();
    await later.attestor.attest(old);
    await later.idp.rotate({ drop: true });
    later.clock.advance({ minutes: 10 });
    await expect(later.attestor.attest(old)).rejects.toMatchObject({ code: "invalid_identity" });
  });

  it("are used for an hour while the provider is down, and not a moment longer", async () => {
    await using at = await scene();
    const jwt = await at.token();
    await at.attestor.attest(jwt);
    at.idp.fault = { discovery: "error", jwks: "error" };
    at.clock.advance({ minutes: 59, seconds: 59 });
    await expect(at.attestor.attest(jwt)).resolves.toMatchObject({ trust: "gitlab" });
    at.clock.advance({ seconds: 1 });
    await expect(at.attestor.attest(jwt)).rejects.toMatchObject({ code: "identity_keys_unavailable" });
    expect(at.warnings).toContainEqual(expect.objectContaining({ trust: "gitlab", error: "answered with status 500" }));
    at.idp.fault = {};
    at.clock.advance({ seconds: 30 });
    await expect(at.attestor.attest(jwt)).resolves.toMatchObject({ trust: "gitlab" });
  });

  it("make nobody wait a second time for a provider that hangs", async () => {
    await using at = await scene();
    const jwt = await at.token();
    await at.attestor.attest(jwt);
    at.idp.fault = { discovery: "hang", jwks: "hang" };
    at.clock.advance({ minutes: 11 });
    await at.attestor.attest(jwt); // this one waited for the limit
    at.clock.advance({ seconds: 31 });
    const started = performance.now();
    await at.attestor.attest(jwt);
    expect(performance.now() - started).toBeLessThan(250);
  });

  it("are doubted when the clock went back", async () => {
    await using at = await scene();
    await at.attestor.attest(await at.token());
    at.clock.advance({ days: -1 });
    await at.attestor.attest(await at.token());
    expect(at.idp.calls.jwks).toBe(2);
  });

  const BAD: readonly IdpFault[] = [
    "hang",
    "slow",
    "huge",
    "redirect",
    "error",
    "html",
    "nothing",
    "empty",
    "many-keys",
    "duplicate-kid",
    "duplicate-member",
    "private-key",
    "symmetric-key",
    "weak-key",
  ];
  it.each(BAD)("are never had from a document that is wrong, and the last good ones go on: %s", async (fault) => {
    await using cold = await scene();
    cold.idp.fault.jwks = fault;
    const jwt = await cold.token();
    await expect(cold.attestor.attest(jwt)).rejects.toMatchObject({ code: "identity_keys_unavailable" });
    cold.idp.fault = {};
    cold.clock.advance({ seconds: 30 });
    await cold.attestor.attest(jwt);
    cold.idp.fault.jwks = fault;
    cold.clock.advance({ minutes: 15 });
    await expect(cold.attestor.attest(jwt)).resolves.toMatchObject({ trust: "gitlab" });
  });

  it.each(["foreign-issuer", "http-elsewhere", "html", "redirect", "huge"] as const)(
    "are not looked for where a wrong discovery document points: %s",
    async (fault) => {
      await using at = await scene();
      at.idp.fault.discovery = fault;
      await expect(at.attestor.attest(await at.token())).rejects.toMatchObject({ code: "identity_keys_unavailable" });
      expect(at.idp.calls.jwks).toBe(0);
    },
  );

  it("are fetched anew when the trust's settings change", async () => {
    const clock = fakeClock();
    await using idp = await startIdp({ clock, algorithm: "ES256" });
    await using other = await startIdp({ clock, algorithm: "ES256" });
    const made = (uri: string): ReadonlyMap<string, Trust> =>
      trustMap(trust({ preset: "gitlab", issuer: idp.issuer, algorithms: ["ES256"], keys: { from: "uri", uri } }));
    let map = made(idp.jwksUri);
    const attestor = createAttestor({ trusts: () => map, clock });
    const jwt = await idp.token(presetClaims("gitlab", { aud: AUDIENCE }));
    await attestor.attest(jwt);
    map = made(idp.jwksUri);
    await attestor.attest(jwt);
    expect(idp.calls.jwks).toBe(1); // the same settings: the keys stay
    map = made(other.jwksUri);
    await expect(attestor.attest(jwt)).rejects.toMatchObject({ code: "invalid_identity" });
  });
});

describe("keys from a file", () => {
  it("are read again when the file changes, kept for an hour when it goes, and never fetched", async () => {
    const folder = await mkdtemp(join(tmpdir(), "stint-keys-"));
    const path = join(folder, "jwks.json");
    await using at = await scene({ keys: { from: "file", path } });
    const jwt = await at.token();
    await expect(at.attestor.attest(jwt)).rejects.toMatchObject({ code: "identity_keys_unavailable" });
    await writeFile(path, JSON.stringify(at.idp.jwks()));
    at.clock.advance({ seconds: 1 });
    await at.attestor.attest(jwt);
    await at.idp.rotate();
    const rotated = await at.token();
    await writeFile(path, JSON.stringify(at.idp.jwks()));
    await utimes(path, 1, 1);
    at.clock.advance({ seconds: 1 });
    await expect(at.attestor.attest(rotated)).resolves.toMatchObject({ trust: "gitlab" });
    await writeFile(path, "{ broken");
    at.clock.advance({ minutes: 30 });
    await expect(at.attestor.attest(rotated)).resolves.toMatchObject({ trust: "gitlab" });
    await unlink(path);
    at.clock.advance({ minutes: 31 });
    await expect(at.attestor.attest(rotated)).rejects.toMatchObject({ code: "identity_keys_unavailable" });
    expect(at.idp.connections()).toBe(0);
    await rm(folder, { recursive: true });
  });

  it("are not read beyond their limit", async () => {
    const folder = await mkdtemp(join(tmpdir(), "stint-keys-"));
    const path = join(folder, "jwks.json");
    await writeFile(path, JSON.stringify({ keys: [], filler: "x".repeat(300_000) }));
    await using at = await scene({ keys: { from: "file", path } });
    await expect(at.attestor.attest(await at.token())).rejects.toMatchObject({
      code: "identity_keys_unavailable",
      cause: expect.stringContaining("256 KiB"),
    });
    await rm(folder, { recursive: true });
  });
});
