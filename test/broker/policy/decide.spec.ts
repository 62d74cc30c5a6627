import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { decide, decideByAudience, grantsForAudience } from "../../../broker/policy/decide.ts";
import { ask, GITHUB, grantOf, inputOf, outcome, policyOf } from "./support.ts";

const SHOP = { repository_id: "456789", repository: "acme/shop", ref: "refs/heads/main", environment: "production", event_name: "push" };
const PROD = grantOf(`allow:
  - trust: github
    claims: { repository_id: "456789", environment: production, ref: refs/heads/main }
deny:
  - claims: { event_name: pull_request_target }`);

describe("a request for a grant", () => {
  it("is allowed when every condition of a rule holds, and says what may be given", () => {
    const decision = ask(PROD, { claims: SHOP });
    expect(decision).toMatchObject({
      allowed: true,
      rule: "deploy.allow[0]",
      scope: ["deploy:read", "deploy:write"],
      ttlMs: 600_000,
      maxTtlMs: 1_800_000,
      limitedBy: "grant",
    });
  });

  it("is refused when one condition fails, naming that claim with the caller's own value and never the wanted one", () => {
    const decision = ask(PROD, { claims: { ...SHOP, environment: "staging" } });
    expect(decision).toMatchObject({
      allowed: false,
      rule: "deploy.allow[0]",
      view: {
        code: "claim_mismatch",
        message: "not met by: environment",
        failedClaims: ["environment"],
        yours: { environment: "staging" },
      },
    });
    expect(JSON.stringify(decision)).not.toContain("production");
  });

  it("says that a claim was absent, and hints at why", () => {
    const { environment: _, ...claims } = SHOP;
    expect(ask(PROD, { claims })).toMatchObject({
      view: {
        message: "not met by: environment (absent)",
        yours: { environment: null },
        hint: expect.stringContaining("environment: key"),
      },
    });
  });

  it("is refused by a deny rule that matches, whatever allows it, and names the rule's claims", () => {
    expect(ask(PROD, { claims: { ...SHOP, event_name: "pull_request_target" } })).toMatchObject({
      allowed: false,
      rule: "deploy.deny[0]",
      view: {
        code: "claim_mismatch",
        message: "refused because of: event_name",
        failedClaims: ["event_name"],
        yours: { event_name: "pull_request_target" },
      },
    });
  });

  it("is allowed by any one of several rules, and refused by the one that came nearest", () => {
    const policy = grantOf(`allow:
  - trust: github
    claims: { repository_id: "456789", ref: refs/heads/main, environment: production }
  - trust: github
    claims: { repository_id: "456789", ref: refs/heads/next }`);
    expect(ask(policy, { claims: { repository_id: "456789", ref: "refs/heads/next" } })).toMatchObject({
      allowed: true,
      rule: "deploy.allow[1]",
    });
    expect(ask(policy, { claims: { repository_id: "456789", ref: "refs/heads/x" } })).toMatchObject({
      rule: "deploy.allow[1]",
      view: { failedClaims: ["ref"] },
    });
  });
});

describe("whoever is no candidate", () => {
  const strangers = [
    { name: "of another repository", what: { claims: { ...SHOP, repository_id: "666" } } },
    {
      name: "of another repository that a deny rule meets too",
      what: { claims: { ...SHOP, repository_id: "666", event_name: "pull_request_target" } },
    },
    { name: "whose anchor claim is missing", what: { claims: { environment: "production" } } },
    { name: "of another trust", what: { trust: "gitlab", claims: SHOP } },
    { name: "who asks for too much scope", what: { claims: { ...SHOP, repository_id: "666" }, scope: ["deploy:admin"] } },
  ];
  const unknown = JSON.stringify(ask(PROD, { grant: "no-such-grant", claims: SHOP }));
  it.each(strangers)("$name gets the same bytes as for a grant that does not exist", ({ what }) => {
    expect(JSON.stringify({ ...ask(PROD, what), rule: undefined })).toBe(unknown);
    expect(unknown).toBe(
      '{"allowed":false,"view":{"code":"not_permitted","message":"no grant by that name is available to this workload"}}',
    );
  });

  it("is everybody, where no rule has an anchor condition", () => {
    const policy = grantOf(`allow:
  - trust: github
    claims: { repository: acme/shop, environment: production }`);
    expect(outcome(policy, { claims: SHOP })).toBe("allow");
    expect(outcome(policy, { claims: { ...SHOP, environment: "staging" } })).toBe("not_permitted");
  });

  it("is not made a candidate by a condition that says only who is not meant, or by a bare wildcard", () => {
    const policy = grantOf(`allow:
  - trust: github
    claims: { repository_id: { not: "1" }, environment: production }
  - trust: github
    claims: { repository_id: { glob: "**" }, environment: production }`);
    expect(outcome(policy, { claims: { ...SHOP, environment: "staging" } })).toBe("not_permitted");
  });

  it("names like those of an object's own machinery are grants that do not exist", () => {
    for (const grant of ["__proto__", "constructor", "toString", ""]) expect(outcome(PROD, { grant, claims: SHOP })).toBe("not_permitted");
  });
});

describe("a claim named by a JSON Pointer of one step", () => {
  it("is the plain claim: the same anchor, compared in the same way", () => {
    const policy = grantOf(`allow:
  - trust: github
    claims: { "/repository_id": "456789", "/environment": Production }`);
    expect(outcome(policy, { claims: SHOP })).toBe("allow");
    expect(outcome(policy, { claims: { ...SHOP, environment: "staging" } })).toBe("claim_mismatch");
    expect(policy.problems.map(({ rule }) => rule)).not.toContain("no-anchor");
  });
});

describe("scope and lifetime", () => {
  it("gives what was asked when it is within the grant, without repetition", () => {
    expect(ask(PROD, { claims: SHOP, scope: ["deploy:read", "deploy:read"], ttlMs: 60_000 })).toMatchObject({
      scope: ["deploy:read"],
      ttlMs: 60_000,
      limitedBy: "asked",
    });
    expect(ask(PROD, { claims: SHOP, ttlMs: 1_800_000 })).toMatchObject({ ttlMs: 1_800_000, limitedBy: "asked" });
  });
  it("refuses more scope than there is, naming only what was asked", () => {
    expect(ask(PROD, { claims: SHOP, scope: ["deploy:read", "deploy:admin"] })).toMatchObject({
      view: { code: "scope_too_wide", message: "asked for more scope than is available: deploy:admin" },
    });
  });
  it("clips a longer life and says that the grant did", () => {
    for (const ttlMs of [1_800_001, Number.POSITIVE_INFINITY, Number.NaN])
      expect(ask(PROD, { claims: SHOP, ttlMs })).toMatchObject({ ttlMs: 1_800_000, limitedBy: "grant" });
  });
});

describe("a grant in audit mode", () => {
  const rules = `allow:
  - trust: github
    claims: { repository_id: "456789", environment: production }
deny:
  - claims: { event_name: pull_request_target }`;
  const policy = grantOf(rules, "mode: audit");
  it("lets a candidate through whom a rule would deny, and says what enforcing would have said", () => {
    expect(ask(policy, { claims: { ...SHOP, environment: "staging" } })).toMatchObject({
      allowed: true,
      rule: "deploy.allow[0]",
      shadowed: { code: "claim_mismatch", failedClaims: ["environment"] },
    });
    expect(ask(policy, { claims: SHOP })).not.toHaveProperty("shadowed");
  });
  it("lets nobody past a deny rule, past the scope, or in from outside", () => {
    expect(outcome(policy, { claims: { ...SHOP, environment: "staging", event_name: "pull_request_target" } })).toBe("claim_mismatch");
    expect(outcome(policy, { claims: { ...SHOP, environment: "staging" }, scope: ["deploy:admin"] })).toBe("scope_too_wide");
    expect(outcome(policy, { claims: { ...SHOP, repository_id: "666" } })).toBe("not_permitted");
  });
});

describe("an expression", () => {
  const policy = grantOf(`allow:
  - trust: github
    claims: { repository_id: "456789" }
    when: "request.purpose != '' && claims.environment == 'production'"
deny:
  - when: "claims.actor == 'mallory'"`);
  const claims = { ...SHOP, actor: "alice" };
  it("allows when it holds", () => expect(outcome(policy, { claims, purpose: "release" })).toBe("allow"));
  it("is refused without detail when it does not", () => {
    expect(ask(policy, { claims, purpose: "" })).toMatchObject({ view: { code: "condition_not_met" } });
    expect(ask(policy, { claims, purpose: "" })).not.toHaveProperty("view.failedClaims");
  });
  it("that meets a missing value does not match in allow, and matches in deny", () => {
    const { environment: _, ...without } = claims;
    expect(outcome(policy, { claims: without, purpose: "x" })).toBe("condition_not_met");
    expect(outcome(policy, { claims: SHOP, purpose: "x" })).toBe("condition_not_met");
    expect(outcome(policy, { claims: { ...claims, actor: "mallory" }, purpose: "x" })).toBe("condition_not_met");
  });
});

describe("an exchange that names an audience only", () => {
  const grant = (name: string, environment: string): string => `---
kind: Grant
name: ${name}
allow: [{ trust: github, claims: { repository_id: "456789", environment: ${environment} } }]
issue: { issuer: jwt, audience: https://deploy.acme.dev }
`;
  const policy = policyOf(
    `${GITHUB}kind: Settings\nname: settings\nlint: warn\n${grant("a", "production")}${grant("b", "production")}${grant("c", "staging")}`,
  );
  const audience = "https://deploy.acme.dev";
  const byAudience = (claims: Record<string, unknown>): unknown => decideByAudience(policy, audience, inputOf({ claims }));
  it("gets the one grant that the decision allows", () => {
    expect(grantsForAudience(policy, audience).map(({ name }) => name)).toEqual(["a", "b", "c"]);
    expect(byAudience({ ...SHOP, environment: "staging" })).toMatchObject({ allowed: true, grant: { name: "c" } });
  });
  it("is told to choose when several would do", () => {
    expect(byAudience(SHOP)).toMatchObject({
      allowed: false,
      candidates: ["a", "b"],
      view: { code: "target_ambiguous", message: "several grants would do: a, b" },
    });
  });
  it("is refused as by name when none does", () => {
    expect(byAudience({ ...SHOP, environment: "x" })).toMatchObject({ view: { code: "claim_mismatch" } });
    expect(byAudience({ ...SHOP, repository_id: "666" })).toMatchObject({ view: { code: "not_permitted" } });
    expect(decideByAudience(policy, `${audience}/`, inputOf({ claims: SHOP }))).toMatchObject({ view: { code: "not_permitted" } });
  });
});

describe("what holds for every decision", () => {
  const condition = fc.oneof(
    fc.constantFrom("production", "x", "1"),
    fc.constant(["production", "x"]),
    fc.constant({ glob: "p*" }),
    fc.constant({ not: "x" }),
    fc.constant({ includes: "x" }),
  );
  const rule = fc.dictionary(fc.constantFrom("environment", "ref", "actor"), condition, { minKeys: 1 });
  const claims = fc.dictionary(
    fc.constantFrom("environment", "ref", "actor", "repository_id"),
    fc.oneof(fc.constantFrom("production", "x", "456789"), fc.jsonValue()),
  );
  const build = (allow: unknown, deny: readonly unknown[]): ReturnType<typeof grantOf> =>
    grantOf(
      `allow:\n  - trust: github\n    claims: ${JSON.stringify({ repository_id: "456789", ...(allow as object) })}${deny.length === 0 ? "" : `\ndeny: ${JSON.stringify(deny.map((one) => ({ claims: one })))}`}`,
    );

  it("another deny rule never allows more", () => {
    fc.assert(
      fc.property(
        rule,
        fc.array(rule, { maxLength: 2 }),
        rule,
        fc.array(claims, { minLength: 5, maxLength: 10 }),
        (allow, deny, more, callers) => {
          const [before, after] = [build(allow, deny), build(allow, [...deny, more])];
          for (const caller of callers)
            if (ask(after, { claims: caller }).allowed) expect(ask(before, { claims: caller }).allowed).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("no claims at all can make it throw, and every answer is whole", () => {
    const policy = grantOf(`allow:
  - trust: github
    claims: { repository_id: "456789", "/a/b": { includes: x, split: "," }, "/a/0": { not: [x, 1, true] }, ref: { glob: "a*b**" }, sha: { regex: "^(a+)+$" } }
    when: "claims.a.b.exists(x, x == 'p') || claims.c > 4"
deny:
  - when: "claims.ref.matches('^x+$')"`);
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.constantFrom("repository_id", "a", "ref", "sha", "c", "__proto__", "constructor"),
          fc.oneof(fc.constant("456789"), fc.jsonValue()),
        ),
        (caller) => {
          const decision = decide(policy, inputOf({ claims: { repository_id: "456789", ...caller } }));
          expect(typeof decision.allowed).toBe("boolean");
          expect(JSON.stringify(decision.trace())).toContain("deploy.allow[0]");
        },
      ),
      { numRuns: 300 },
    );
  });

  it("claims nested without end are refused like any other", () => {
    let deep: unknown = "x";
    for (let depth = 0; depth < 50_000; depth++) deep = [deep];
    const decision = ask(PROD, { claims: { ...SHOP, ref: deep } });
    expect(decision).toMatchObject({ view: { code: "claim_mismatch", yours: { ref: "(cannot be shown)" } } });
    expect(decision.trace().candidate).toBe(true);
  });

  it("a policy that was not compiled allows nobody", () => {
    const forged = { ...PROD, grants: PROD.grants };
    expect(decide(forged, inputOf({ claims: SHOP }))).toMatchObject({ allowed: false, view: { code: "not_permitted" } });
  });
});
