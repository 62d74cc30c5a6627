import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { setTimeout as pause } from "node:timers/promises";
import type { Verifier } from "../../../broker/policy/policy.ts";
import type { Selector } from "../../../broker/services.ts";
import { bucketOfId, instantOf } from "../../../domain/ids.ts";
import { Secret } from "../../../domain/secret.ts";
import { startRevocation } from "../../support/broker.ts";
import { eventually } from "../../support/events.ts";
import { FeedModel, type SeenToken } from "../../support/feed-model.ts";
import { openFeedShop, SHIP } from "../../support/feed-shop.ts";
import { request, type Shop } from "../../support/shop.ts";

interface Held extends SeenToken {
  readonly token: Secret;
}

describe("tokens that are issued while a mark is written into one bucket after the other", () => {
  let shop: Shop;
  let verifier: Verifier;

  beforeAll(async () => {
    shop = await openFeedShop();
    const [name = "", key = ""] = SHIP.key.split(":");
    const found = shop.broker.services.verifiers.authenticate(name, new Secret(key));
    if (found === undefined) throw new Error("no verifier");
    verifier = found;
  });
  afterAll(async () => {
    await shop[Symbol.asyncDispose]();
  });

  async function issue(repository: string): Promise<Held> {
    const evidence = await shop.evidence({ run_id: `${Math.random()}`, repository_id: repository });
    const { credential, lease } = await shop.broker.services.requests.exchange({ ...request("ship"), evidence });
    const { kid } = JSON.parse(Buffer.from(credential.token.reveal().split(".")[0] ?? "", "base64url").toString()) as { kid: string };
    return { token: credential.token, lease: lease.id, subject: lease.subject, grant: lease.grant, kid };
  }

  /** Revokes with so slow a store that tokens are issued all the while, before their bucket's turn and after it. */
  async function revokeSlowly(selector: Selector): Promise<readonly Held[]> {
    const { revocations } = shop.broker.store;
    const mark = revocations.mark.bind(revocations);
    Object.assign(revocations, {
      mark: async (...order: Parameters<typeof mark>) => {
        await pause(40 + 4 * (order[0] % 32)); // by bucket, so that some come long after others
        return mark(...order);
      },
    });
    const held: Held[] = [];
    let over = false;
    const done = startRevocation(shop.broker, selector).finally(() => (over = true));
    while (!over) held.push(...(await Promise.all(["456789", "777", "888"].map(issue))));
    await done;
    Object.assign(revocations, { mark });
    return held;
  }

  it.each([
    ["a grant", { kind: "grant", name: "ship" }],
    ["a trust", { kind: "trust", name: "github" }],
    ["an issuer", { kind: "issuer", name: "jwt" }],
    ["everything", { kind: "all" }],
  ] as const)("are under the mark or are not, for verifiers and introspection alike: %s", async (_what, selector) => {
    const model = new FeedModel(SHIP.key);
    await model.connect(shop.broker.url);
    const before = await issue("777");
    const during = await revokeSlowly(selector);
    const after = await issue("888");
    const quiet = Math.ceil(shop.broker.store.clock.now());
    await eventually("the stream has come up to now", () => model.asOf >= quiet, 6_000);
    const active = async ({ token }: Held): Promise<boolean> => (await shop.broker.services.introspection.check(token, verifier)).active;
    expect([await active(before), model.revokes(before), await active(after), model.revokes(after)]).toEqual([false, true, true, false]);
    const said = await Promise.all(
      during.map(async (each) => ({ lease: each.lease, verifier: !model.revokes(each), introspection: await active(each) })),
    );
    expect(new Set(during.map(({ lease }) => bucketOfId(lease))).size).toBe(3);
    expect(said.filter((one) => one.verifier !== one.introspection)).toEqual([]);
    // The one instant: everything up to it is over, everything after it lives.
    const last = Math.max(instantOf(before.lease), ...said.filter((one) => !one.introspection).map(({ lease }) => instantOf(lease)));
    expect(said.filter((one) => one.introspection).every(({ lease }) => instantOf(lease) > last)).toBe(true);
    expect(said.some((one) => one.introspection)).toBe(true);
    model.disconnect();
  });
});
