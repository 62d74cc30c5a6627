import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import type { Verifier } from "../../../broker/policy/policy.ts";
import { Secret } from "../../../domain/secret.ts";
import { origin, startBroker, startRevocation, type TestBroker } from "../../support/broker.ts";
import { eventually } from "../../support/events.ts";
import { FeedModel, type SeenToken } from "../../support/feed-model.ts";
import { FEED_DOCUMENTS, openFeedShop, SHIP } from "../../support/feed-shop.ts";
import { request, shopDocuments, type Shop } from "../../support/shop.ts";

interface Held extends SeenToken {
  readonly token: Secret;
  readonly taskToken: Secret;
  readonly task: string;
}

const GRANTS = ["ship", "ship-more", "other"] as const;
const REPOSITORIES = ["456789", "777", "888"] as const;
const broker = fc.nat(1);
const RUNS = Number(process.env["STINT_TEST_RUNS"] ?? "10");
/** What may happen, in any order and side by side. */
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("issue"),
      grant: fc.constantFrom(...GRANTS),
      repository: fc.constantFrom(...REPOSITORIES),
      broker,
    }),
  },
  { weight: 7, arbitrary: fc.record({ do: fc.constantFrom("release", "revoke", "complete"), which: fc.nat(), broker }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("mark"),
      scope: fc.constantFrom("workload", "grant", "trust", "issuer", "all"),
      which: fc.nat(2),
      broker,
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom("connect", "connect", "disconnect", "disconnect", "forget", "half"), broker }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

describe("a verifier with the feed, whatever happens", () => {
  let shop: Shop;
  let brokers: readonly TestBroker[];
  let verifier: Verifier;

  beforeAll(async () => {
    shop = await openFeedShop();
    const { redis, masterKey, url } = shop.broker;
    const second = await startBroker({ redis, masterKey, documents: (_own) => shopDocuments(shop.idp, url) + FEED_DOCUMENTS });
    brokers = [shop.broker, second];
    const [name = "", key = ""] = SHIP.key.split(":");
    const found = shop.broker.services.verifiers.authenticate(name, new Secret(key));
    if (found === undefined) throw new Error("no verifier");
    verifier = found;
  });
  afterAll(async () => {
    await brokers[1]?.[Symbol.asyncDispose]();
    await shop[Symbol.asyncDispose]();
  });

  const at = (index: number): TestBroker => brokers[index] ?? shop.broker;
  const revoke = (index: number, kind: "lease" | "workload" | "grant" | "trust" | "issuer", name: string): Promise<unknown> =>
    start(index, { kind, name });
  const start = (index: number, selector: Parameters<TestBroker["services"]["revocations"]["start"]>[0]["selector"]): Promise<unknown> =>
    startRevocation(at(index), selector);

  async function issue(held: Held[], { grant, repository }: { readonly grant: string; readonly repository: string }): Promise<void> {
    const evidence = await shop.evidence({ run_id: `${Math.random()}`, repository_id: repository });
    // Signed by the first: tokens bear its URL. Both end them.
    const issued = await shop.broker.services.requests.exchange({ ...request(grant), evidence });
    const token = issued.credential.token;
    const { kid } = JSON.parse(Buffer.from(token.reveal().split(".")[0] ?? "", "base64url").toString("utf8")) as { readonly kid: string };
    held.push({
      token,
      taskToken: issued.taskToken,
      task: issued.task.id,
      lease: issued.lease.id,
      subject: issued.lease.subject,
      grant,
      kid,
    });
  }

  async function take(each: Step, held: Held[], model: FeedModel): Promise<void> {
    const one = "which" in each ? held[each.which % Math.max(1, held.length)] : undefined;
    const { url } = at(each.broker);
    switch (each.do) {
      case "issue":
        return "grant" in each ? issue(held, each) : undefined;
      case "release":
        return one === undefined
          ? undefined
          : void (await shop.broker.services.leases.release(one.lease, one.token, origin()).catch(() => undefined));
      case "revoke":
        return one === undefined ? undefined : void (await revoke(each.broker, "lease", one.lease));
      case "complete":
        return one === undefined
          ? undefined
          : void (await shop.broker.services.tasks.complete({
              taskId: one.task,
              taskToken: one.taskToken,
              outcome: "success",
              by: "complete",
              origin: origin(),
            }));
      case "mark":
        if (!("scope" in each)) return;
        if (each.scope === "workload") await revoke(each.broker, "workload", `github:${REPOSITORIES[each.which] ?? ""}`);
        else if (each.scope === "grant") await revoke(each.broker, "grant", GRANTS[each.which] ?? "");
        else if (each.scope === "trust") await revoke(each.broker, "trust", "github");
        else if (each.scope === "issuer") await revoke(each.broker, "issuer", "jwt");
        else await start(each.broker, { kind: "all" });
        return;
      case "connect":
        return model.connect(url).catch(() => undefined);
      case "half":
        return model.half(url);
      case "forget":
        return model.forget();
      case "disconnect":
        return model.disconnect();
    }
  }

  it(
    "says of every token what introspection says, as soon as its stream has come up to what happened",
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 3, maxLength: 8 }),
          broker,
          async (rounds, last) => {
            const held: Held[] = [];
            const model = new FeedModel(SHIP.key);
            for (const grant of ["ship", "ship-more", "ship"])
              for (const repository of REPOSITORIES) await issue(held, { grant, repository });
            await model.connect(at(last).url);
            for (const together of rounds) await Promise.all(together.map((each) => take(each, held, model)));
            const { clock } = shop.broker.store;
            // `as_of` is by a broker's estimate of the store's time: off by half a round trip, which is long on a busy machine.
            const quiet = Math.ceil(clock.now()) + 500;
            if (!model.connected) await model.connect(at(last).url);
            await eventually("the stream has come up to now", () => model.asOf >= quiet, 6_000);
            for (const each of held) {
              const { active } = await shop.broker.services.introspection.check(each.token, verifier);
              if (each.grant === "other") continue; // not this audience's: introspection says no more than that
              expect({ ...each, token: undefined, taskToken: undefined, revoked: model.revokes(each) }).toEqual({
                ...each,
                token: undefined,
                taskToken: undefined,
                revoked: !active,
              });
            }
            model.disconnect();
          },
        ),
        { numRuns: RUNS, endOnFailure: true },
      );
    },
    120_000 + RUNS * 12_000,
  );
});
