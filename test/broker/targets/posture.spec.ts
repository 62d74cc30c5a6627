import { describe, expect, it } from "@jest/globals";
import type { Issuer } from "../../../domain/credential.ts";
import { fakeClock } from "../../support/clock.ts";
import { openShop } from "../../support/shop.ts";
import { testTarget, type TestParams } from "../../support/test-issuers.ts";
import { fileKind } from "../../support/test-issuers.ts";

const admin = { name: "admin", role: "admin" } as const;
const origin = { ip: "127.0.0.1", traceId: "t", route: "POST /v1/targets/{target}/rotate" };

/** The file target, with a password of the broker's own that can be changed. */
function withPassword(issuer: Issuer<TestParams>, now: () => number): { readonly issuer: Issuer<TestParams>; readonly changes: number[] } {
  const changes: number[] = [];
  return {
    changes,
    issuer: {
      ...issuer,
      rotate: async () => void changes.push(now()),
      examine: async () => ({ server: "a file", passwordChangedAt: changes.at(-1), warnings: ["it is only a file"] }),
    },
  };
}
const documents = (more: string): string => `
---
kind: Target
name: shop-db
owner: team-platform
issuer: file
file: "x"
${more}
---
kind: Grant
name: fresh-only
owner: team-payments
sensitivity: medium
allow:
  - { trust: github, claims: { repository_id: "456789" }, when: "posture.targets['shop-db'].password_age < 3600" }
issue: { issuer: jwt, audience: "https://fresh.test", ttl: 10m }
`;

describe("the broker's own password at a target", () => {
  it("is changed when it never was and then by schedule, and its age is a fact that policy can weigh", async () => {
    const clock = fakeClock("2026-03-02T12:00:00Z");
    await using place = await testTarget();
    const { issuer, changes } = withPassword(place.issuer, clock);
    await using shop = await openShop({ clock, kinds: [fileKind(issuer)], more: documents("rotate: 30d") });
    const attend = async (): Promise<void> => {
      await shop.broker.duties.runOnce();
      await shop.broker.settled();
    };
    await expect(shop.exchange({ grant: "fresh-only" })).rejects.toMatchObject({ code: "condition_not_met" });
    await attend();
    expect(changes).toHaveLength(1);
    await expect(shop.exchange({ grant: "fresh-only" })).resolves.toMatchObject({ grant: "fresh-only" });
    clock.advance({ minutes: 90 });
    await attend();
    expect(changes).toHaveLength(1);
    await expect(shop.exchange({ grant: "fresh-only" })).rejects.toMatchObject({ code: "condition_not_met" });
    expect(shop.broker.services.targets.list()).toMatchObject([{ facts: { server: "a file" }, state: "open" }]);
    clock.advance({ days: 30 });
    await attend();
    expect(changes).toHaveLength(2);
  });

  it("is changed by command, on the audit under the operator's name", async () => {
    const clock = fakeClock("2026-03-02T12:00:00Z");
    await using place = await testTarget();
    const { issuer, changes } = withPassword(place.issuer, clock);
    await using shop = await openShop({ clock, kinds: [fileKind(issuer)], more: documents("") });
    await shop.broker.duties.runOnce();
    await shop.broker.settled();
    expect(changes).toHaveLength(0);
    const standing = await shop.broker.services.targets.rotate("shop-db", admin, "INC-1", origin);
    expect(standing.facts?.passwordChangedAt).toBe(clock());
    const records = await shop.broker.audit.records();
    expect(records).toContainEqual(
      expect.objectContaining({ action: "target.rotated", principal: "operator:admin", issuer: "shop-db", reason: "INC-1" }),
    );
  });
});
