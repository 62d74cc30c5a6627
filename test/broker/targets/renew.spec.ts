import { expect, it } from "@jest/globals";
import { PermanentFailure, RetryableFailure } from "../../../domain/credential.ts";
import type { IssuerKind } from "../../../domain/target.ts";
import { origin } from "../../support/broker.ts";
import { DATABASE, openShop } from "../../support/shop.ts";
import { fileKind, testTarget } from "../../support/test-issuers.ts";

it("a renewal at a target that is down says so, says when to come again, and counts against the target as issuing does", async () => {
  await using place = await testTarget();
  let trouble: Error | undefined;
  let asked = 0;
  const kind: IssuerKind = {
    ...fileKind(place.issuer),
    open: () => ({
      ...place.issuer,
      kind: "file",
      renew: async () => {
        asked += 1;
        if (trouble !== undefined) throw trouble;
        return undefined;
      },
    }),
  };
  const target = `\n---\nkind: Target\nname: shop-db\nowner: team-platform\nissuer: file\nfile: "${place.file}"\n`;
  await using shop = await openShop({
    kinds: [kind],
    more: target + DATABASE.replace("issuer: test, ttl: 10m", "target: shop-db, ttl: 10m, max_ttl: 30m"),
  });
  const { tasks, leases } = shop.broker.services;
  const shared = { purpose: undefined, ttlMs: undefined, idempotency: undefined, origin: origin() };
  const { task, taskToken } = await tasks.open({ ...shared, evidence: await shop.evidence(), parent: undefined, heartbeatMs: undefined });
  const words = { scope: [], purpose: "", environment: "", resource: "" };
  const { lease } = await tasks.credential({ ...shared, ...words, taskId: task.id, taskToken, grant: "database" });
  const renew = () => leases.renew({ leaseId: lease.id, taskToken, ttlMs: undefined, origin: origin() });
  expect(await renew()).toMatchObject({ credential: { type: "file" } });
  trouble = new RetryableFailure("the target did not answer", { retryAfterMs: 7_000 });
  await expect(renew()).rejects.toMatchObject({
    code: "issuer_unavailable",
    message: "the issuer shop-db could not lengthen the credential; it may end when it would have",
    facts: { retryAfterSeconds: 7 },
  });
  trouble = new PermanentFailure("the role is gone");
  for (let tries = 0; tries < 9; tries += 1) await expect(renew()).rejects.toMatchObject({ code: "issuer_unavailable" });
  trouble = new RetryableFailure("the target did not answer");
  for (let tries = 0; tries < 4; tries += 1) await expect(renew()).rejects.toMatchObject({ code: "issuer_unavailable" });
  const before = asked;
  await expect(renew()).rejects.toMatchObject({ code: "issuer_unavailable", message: expect.stringContaining("left alone") });
  expect(asked).toBe(before);
});
