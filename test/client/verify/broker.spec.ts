import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { type Verifier, type VerifierOptions, VerifyError, createVerifier } from "../../../client/verify/index.ts";
import { OTHER, SHIP, openFeedShop } from "../../support/feed-shop.ts";
import { type Shop, request } from "../../support/shop.ts";
import { until } from "./moving-clock.ts";

describe("a verifier at a real broker", () => {
  let shop: Shop;
  let ship: Verifier;
  const log: string[] = [];

  const verifierOf = ({ key, audience }: typeof SHIP | typeof OTHER, more: Partial<VerifierOptions> = {}): Verifier => {
    const [name = "", secret = ""] = key.split(":");
    return createVerifier({
      issuer: shop.broker.url,
      audience,
      name,
      key: secret,
      instance: `${name}-1`,
      log: ({ event }) => log.push(event),
      ...more,
    });
  };
  const credential = async (grant: string, run = "1") => {
    const evidence = await shop.evidence({ run_id: run });
    const issued = await shop.broker.services.requests.exchange({ ...request(grant), evidence });
    if (issued.credential.type !== "jwt") throw new Error("not a token");
    return { token: issued.credential.token.reveal(), lease: issued.lease.id };
  };
  const reasonOf = async (verifier: Verifier, token: string): Promise<string> =>
    verifier.verify(token).then(
      () => "honoured",
      (error: unknown) => (error instanceof VerifyError ? error.reason : String(error)),
    );
  const operator = (path: string, body: unknown): Promise<Response> =>
    fetch(`${shop.broker.url}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${shop.broker.operators.responder.reveal()}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const becomes = async (verifier: Verifier, token: string, reason: string): Promise<number> => {
    const began = performance.now();
    while ((await reasonOf(verifier, token)) !== reason) {
      if (performance.now() - began > 5_000) throw new Error(`never ${reason}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return performance.now() - began;
  };

  beforeAll(async () => {
    shop = await openFeedShop();
    ship = verifierOf(SHIP);
    await ship.ready();
  });
  afterAll(async () => {
    await ship.close();
    await shop[Symbol.asyncDispose]();
  });

  it("honours its tokens without asking, each for its own audience", async () => {
    await using other = verifierOf(OTHER);
    await other.ready();
    const { token, lease } = await credential("ship");
    expect((await ship.verify(token)).payload).toMatchObject({ lease_id: lease, grant: "ship", aud: SHIP.audience });
    expect(await reasonOf(other, token)).toBe("wrong_audience");
  });

  it("refuses within a second what its bearer gave back, and agrees with introspection", async () => {
    await using asking = verifierOf(SHIP, { revocation: "introspection", instance: "asking" });
    const { token } = await credential("ship");
    expect([await reasonOf(ship, token), await reasonOf(asking, token)]).toEqual(["honoured", "honoured"]);
    await fetch(`${shop.broker.url}/oauth2/revoke`, { method: "POST", body: new URLSearchParams({ token }) });
    expect(await becomes(ship, token, "revoked")).toBeLessThan(1_000);
    expect(await reasonOf(asking, token)).toBe("inactive");
  });

  it.each([
    ["lease", (lease: string) => lease],
    ["grant", () => "ship"],
    ["workload", () => "github:456789"],
    ["trust", () => "github"],
    ["issuer", () => "jwt"],
    ["all", () => true],
  ] as const)("refuses within a second what an operator revoked by %s, and honours what is issued after it", async (selector, value) => {
    const { token, lease } = await credential("ship", selector);
    expect(await reasonOf(ship, token)).toBe("honoured");
    const answer = await operator("/v1/revocations", { selector: { [selector]: value(lease) }, reason: "test" });
    expect(answer.status).toBe(202);
    expect(await becomes(ship, token, "revoked")).toBeLessThan(1_000);
    expect(await reasonOf(ship, (await credential("ship", `after-${selector}`)).token)).toBe("honoured");
  });

  it("learns what was revoked before it began", async () => {
    const { token } = await credential("ship-more");
    await fetch(`${shop.broker.url}/oauth2/revoke`, { method: "POST", body: new URLSearchParams({ token }) });
    await using late = verifierOf(SHIP, { instance: "late" });
    await late.ready();
    expect(await reasonOf(late, token)).toBe("revoked");
  });

  it("acknowledges what it has applied, in the broker's own form", async () => {
    const acknowledged = async (): Promise<boolean> => {
      const statuses = await shop.broker.services.feed.verifiers();
      const instance = statuses.flatMap(({ instances }) => instances).find(({ instance: name }) => name === "ship-api-1");
      return instance?.stale === false && instance.asOf !== undefined;
    };
    let known = false;
    await until(() => {
      void acknowledged().then((yes) => (known ||= yes));
      return known;
    }, "the acknowledgement");
    expect(log).not.toContain("acknowledgement_failed");
  });

  it("is refused with a wrong key, says so, and denies", async () => {
    const events: string[] = [];
    await using stranger = verifierOf(SHIP, { key: "wrong", instance: "stranger", log: ({ event }) => events.push(event) });
    await until(() => events.includes("feed_refused"), "the refusal");
    expect(await reasonOf(stranger, (await credential("ship")).token)).toBe("stale");
  });
});
