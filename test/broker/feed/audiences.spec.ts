import { describe, expect, it } from "@jest/globals";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { concernOf, tell } from "../../../broker/feed/audience.ts";
import type { Grant } from "../../../broker/policy/policy.ts";
import { newId } from "../../../domain/ids.ts";
import { origin, startBroker } from "../../support/broker.ts";
import { readFeed } from "../../support/feed-reader.ts";
import { FEED_DOCUMENTS, OTHER, SHIP } from "../../support/feed-shop.ts";
import { presetClaims } from "../../support/idp-claims.ts";
import { startIdp } from "../../support/idp.ts";
import { request, shopDocuments } from "../../support/shop.ts";
import { Secret } from "../../../domain/secret.ts";

const grant = (name: string, audience: string | undefined, issuer = "jwt"): readonly [string, Grant] => [
  name,
  {
    name,
    owner: undefined,
    description: undefined,
    sensitivity: "medium",
    revocation: "verifier_checked",
    mode: "enforce",
    issue: { issuer, audience, scope: [], ttlMs: 1, maxTtlMs: 1, params: {} },
    limits: { active: undefined, perHour: undefined },
  },
];
const issuers = new Map([
  ["jwt", { computesOnly: true }],
  ["other-jwt", { computesOnly: true }],
  ["database", { computesOnly: false }],
]);
const policy = (...grants: readonly (readonly [string, Grant])[]) => ({ grants: new Map(grants) });
const lease = (name: string) => ({ kind: "lease", lease: newId("lease", 1_000), grant: name, expiresAt: 5_000 }) as const;
const mark = (kind: "grant" | "issuer" | "workload", name: string, at = 2_000) => ({ kind: "mark", scope: { kind, name }, at }) as const;

describe("what concerns an audience", () => {
  const world = policy(grant("a1", "A"), grant("a2", "A"), grant("b", "B"), grant("db", undefined, "database"));
  const told = (
    audience: string,
    entries: readonly (ReturnType<typeof lease> | ReturnType<typeof mark>)[],
    of = world,
    former = new Map<string, Set<string>>(),
  ) => tell(entries, concernOf(audience, of, issuers, former));

  it("are leases of its grants, and of grants that no policy knows", () => {
    const [mine, theirs, nobodys] = [lease("a1"), lease("b"), lease("gone")];
    expect(told("A", [mine, theirs, nobodys]).leases.map(([id]) => id)).toEqual([mine.lease, nobodys.lease]);
  });

  it("are leases of grants that issued for it until lately", () => {
    const moved = lease("b");
    expect(told("A", [moved], world, new Map([["b", new Set(["A"])]])).leases).toHaveLength(1);
    expect(told("A", [moved], world, new Map([["b", new Set(["C"])]])).leases).toHaveLength(0);
  });

  it("are marks on its grants, and on everything that is no grant", () => {
    expect(told("A", [mark("grant", "a2"), mark("grant", "b"), mark("workload", "github:1")]).marks).toEqual([
      { scope: "grant", name: "a2", at: 2_000 },
      { scope: "workload", name: "github:1", at: 2_000 },
    ]);
  });

  it("is a mark on an issuer as what it comes to: all, its grants, or nothing", () => {
    expect(told("A", [mark("issuer", "jwt")]).marks).toEqual([{ scope: "all", name: "", at: 2_000 }]);
    expect(told("A", [mark("issuer", "database"), mark("issuer", "no-such")]).marks).toEqual([]);
    const mixed = policy(grant("a1", "A"), grant("a2", "A", "other-jwt"));
    expect(told("A", [mark("issuer", "jwt")], mixed).marks).toEqual([{ scope: "grant", name: "a1", at: 2_000 }]);
  });

  it("is told once: a mark that stands in many buckets by its latest instant", () => {
    expect(told("A", [mark("grant", "a1", 3), mark("grant", "a1", 7), mark("grant", "a1", 5)]).marks).toEqual([
      { scope: "grant", name: "a1", at: 7 },
    ]);
  });
});

describe("a grant that is given another audience", () => {
  it("leaves nobody in the dark: the former audience's verifiers hear of the tokens it left behind, even of a broker that started since", async () => {
    const idp = await startIdp();
    const folder = await mkdtemp(join(tmpdir(), "stint-audiences-"));
    const write = (url: string, ships: string): Promise<void> =>
      writeFile(
        join(folder, "policy.yaml"),
        (shopDocuments(idp, url) + FEED_DOCUMENTS).replace(
          `issue: { issuer: jwt, audience: "${SHIP.audience}"`,
          `issue: { issuer: jwt, audience: "${ships}"`,
        ),
      );
    await write("http://127.0.0.1:1", SHIP.audience);
    const broker = await startBroker({ policyDir: folder });
    await write(broker.url, SHIP.audience);
    await broker.reload({ file: "operators", text: "" });
    const evidence = new Secret(
      await idp.token(presetClaims("github", { iss: idp.issuer, aud: broker.url, repository_id: "456789", ref: "refs/heads/main" })),
    );
    const issued = await broker.services.requests.exchange({ ...request("ship"), evidence });
    await write(broker.url, OTHER.audience);
    await broker.reload({ file: "operators", text: "" });
    await broker.settled();
    const second = await startBroker({ redis: broker.redis, masterKey: broker.masterKey, policyDir: folder });
    const readers = [await readFeed(broker.url, { key: SHIP.key }), await readFeed(second.url, { key: SHIP.key })];
    await broker.services.leases.release(issued.lease.id, issued.credential.token, origin());
    for (const reader of readers) {
      await reader.next(({ event, data }) => event === "revoked" && JSON.stringify(data).includes(issued.lease.id));
      reader.close();
    }
    await second[Symbol.asyncDispose]();
    await broker[Symbol.asyncDispose]();
    await idp[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });
});
