import assert from "node:assert/strict";
import { type CryptoKey, importJWK, type JWK, jwtVerify } from "jose";
import { type TestIssuer, createTestIssuer, createVerifier, type Verifier } from "../../client/verify/index.ts";
import { leaseHasher } from "../../client/verify/lease-hash.ts";
import { parseLeaseId } from "../../client/verify/lease-id.ts";
import { RevokedSet } from "../../client/verify/revoked-set.ts";
import { newId } from "../../domain/ids.ts";
import { figureOf, type Figure } from "./figures.ts";
import { measureRoutes } from "./routes.ts";

/** One goal of the verifier, and how far it is met. */
export interface VerifyRow {
  readonly name: string;
  readonly unit: "ratio" | "per second" | "bytes" | "us";
  readonly figure: Figure;
  /** At least this (ratios), or at most (bytes, us); undefined where the figure only sizes the machine. */
  readonly goal: number | undefined;
  readonly met: boolean | undefined;
}

export interface VerifyBenchOptions {
  readonly rounds: number;
  /** Tokens verified in a round, each by jose and by us. */
  readonly tokens: number;
  readonly revoked: number;
  readonly say: (text: string) => void;
}

interface World {
  readonly idp: TestIssuer;
  readonly key: CryptoKey | Uint8Array;
  readonly tokens: readonly string[];
}

/** How fast a verifier with a full feed decides beside jose's bare `jwtVerify`, in interleaved rounds; and what a million revoked leases take. */
export async function measureVerify({ rounds, tokens: count, revoked, say }: VerifyBenchOptions): Promise<readonly VerifyRow[]> {
  await using idp = await createTestIssuer();
  const jwks = (await (await idp.fetch(`${idp.issuer}/.well-known/jwks.json`)).json()) as { readonly keys: readonly JWK[] };
  const key = await importJWK(jwks.keys[0] ?? {}, "ES256");
  const tokens: string[] = [];
  // a text made by joining pieces is flattened when it is first looked at: what comes off the wire is flat already
  for (let made = 0; made < count; made++) tokens.push(Buffer.from(await idp.token({ scope: "deploy:write" })).toString("latin1"));
  const world: World = { idp, key, tokens };
  say(`${count} tokens, ${rounds} rounds of each`);
  await runRound(world); // warm
  const results: RoundResult[] = [];
  for (let round = 0; round < rounds; round++) results.push(await runRound(world));
  const [bare, first, again] = [results.map((one) => one.bare), results.map((one) => one.first), results.map((one) => one.again)];
  const ratio = (figures: readonly number[]): Figure => figureOf(figures.map((figure, round) => figure / (bare[round] ?? Number.NaN)));
  return [
    atLeast("first sight beside bare jwtVerify", "ratio", ratio(first), 0.9),
    atLeast("seen before beside bare jwtVerify", "ratio", ratio(again), 10),
    { name: "jose jwtVerify, bare", unit: "per second", figure: figureOf(bare), goal: undefined, met: undefined },
    { name: "first sight, with the feed", unit: "per second", figure: figureOf(first), goal: undefined, met: undefined },
    { name: "seen before, with the feed", unit: "per second", figure: figureOf(again), goal: undefined, met: undefined },
    ...measureSet(revoked),
    atMost("a route decision among 100 routes", "us", measureRoutes(rounds + 1), 100),
  ];
}

interface RoundResult {
  readonly bare: number;
  readonly first: number;
  readonly again: number;
}

/** So many in a row, then the other: whatever else the machine does meets both. */
const CHUNK = 50;

/** Verifications a second: bare, of tokens never seen, and of tokens seen before. */
async function runRound({ idp, key, tokens }: World): Promise<RoundResult> {
  const { issuer, audience } = idp;
  const options = { issuer, audience, currentDate: new Date(idp.clock.now()), typ: "at+jwt", algorithms: ["ES256"] };
  const cache = { maxEntries: 4 * tokens.length, maxBytes: 2 ** 30 };
  await using verifier = createVerifier({ ...idp.options, reports: false, log: () => undefined, cache });
  await verifier.ready();
  let [bareMs, firstMs] = [0, 0];
  for (let at = 0; at < tokens.length; at += CHUNK) {
    const chunk = tokens.slice(at, at + CHUNK);
    bareMs += await duration(async () => {
      for (const token of chunk) await jwtVerify(token, key, options);
    });
    firstMs += await duration(async () => {
      for (const token of chunk) await verifier.verify(token);
    });
  }
  assert.equal(verifier.state().cache.entries, tokens.length);
  const againMs = await duration(async () => {
    for (let pass = 0; pass < PASSES; pass++) for (const token of tokens) await verifier.verify(token);
  });
  await refuses(verifier, idp);
  const perSecond = (ms: number): number => (tokens.length * 1000) / ms;
  return { bare: perSecond(bareMs), first: perSecond(firstMs), again: perSecond(againMs / PASSES) };
}

const PASSES = 10;

/** A fast verifier that lets revoked tokens pass would be no achievement. */
async function refuses(verifier: Verifier, idp: TestIssuer): Promise<void> {
  const token = await idp.token();
  await verifier.verify(token);
  await idp.revoke(token);
  await assert.rejects(verifier.verify(token), { reason: "revoked" });
}

function measureSet(revoked: number): readonly VerifyRow[] {
  const at = 1_795_000_000_000;
  const hash = leaseHasher();
  const ids = Array.from({ length: revoked }, (_, index) => parseLeaseId(newId("lease", at + (index % 3_600_000))));
  const hashes = ids.map((id) => hash(id ?? assert.fail("not an id")));
  const set = new RevokedSet();
  let longestMs = 0;
  for (const one of hashes) {
    const began = performance.now();
    set.add(one, at / 1000 + 600);
    longestMs = Math.max(longestMs, performance.now() - began);
  }
  assert.equal(set.size, revoked);
  const lookUp = (list: typeof hashes, expected: boolean): number => {
    const began = performance.now();
    let found = 0;
    for (const one of list) if (set.has(one)) found++;
    assert.equal(found, expected ? list.length : 0);
    return ((performance.now() - began) * 1000) / list.length;
  };
  // looked up in another order than they were added, as requests come
  const mixed = hashes.filter((_, index) => index % 7 === 3).toSorted((a, b) => a.low - b.low);
  const strangers = Array.from({ length: mixed.length }, (_, index) =>
    hash(parseLeaseId(newId("lease", at + index)) ?? assert.fail("not an id")),
  );
  const times = Array.from({ length: 5 }, () => [lookUp(mixed, true), lookUp(strangers, false)]).flat();
  return [
    atMost(`${revoked} revoked leases in memory`, "bytes", figureOf([set.byteLength]), revoked * 24),
    atMost("look-up among them", "us", figureOf(times), 0.15),
    { name: "longest addition", unit: "us", figure: figureOf([longestMs * 1000]), goal: undefined, met: undefined },
  ];
}

async function duration(work: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

const atLeast = (name: string, unit: VerifyRow["unit"], figure: Figure, goal: number): VerifyRow => ({
  name,
  unit,
  figure,
  goal,
  met: figure.median >= goal,
});
const atMost = (name: string, unit: VerifyRow["unit"], figure: Figure, goal: number): VerifyRow => ({
  name,
  unit,
  figure,
  goal,
  met: figure.median <= goal,
});
