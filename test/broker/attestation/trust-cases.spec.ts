import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "@jest/globals";
import type { Attestor } from "../../../broker/attestation/attestor.ts";
import { createAttestor } from "../../../broker/attestation/oidc.ts";
import { fakeClock } from "../../support/clock.ts";
import { type TestIdp, startIdp } from "../../support/idp.ts";
import { specsIf } from "../../support/needs.ts";
import { AUDIENCE, trust, trustMap } from "../../support/trust.ts";

interface Case {
  readonly id: string;
  readonly provider: string;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly expected: "allow" | "deny";
}

/** Rows that evidence alone decides; all others are the policy's. */
const REFUSED: Readonly<Record<string, string>> = {
  "gh-045": "invalid_identity", // sub and ids disagree
  "gh-078": "issuer_unknown",
  "gh-079": "audience_mismatch",
  "gh-080": "audience_mismatch",
  "gl-015": "issuer_unknown",
  "gl-016": "issuer_unknown",
  "k8-002": "issuer_unknown",
  "k8-007": "audience_mismatch",
  "k8-008": "invalid_identity",
  "sp-002": "issuer_unknown",
  "sp-005": "invalid_identity",
  "sp-006": "invalid_identity",
  "sp-009": "invalid_identity",
  "sp-011": "invalid_identity",
  "sp-012": "audience_mismatch",
};

const FILE = "../shared/cases/trust-cases.json";
const cases: readonly Case[] = existsSync(FILE) ? (JSON.parse(readFileSync(FILE, "utf8")) as { cases: Case[] }).cases : [];

const clock = fakeClock();
let idp: TestIdp;
let attestor: Attestor;
beforeAll(async () => {
  idp = await startIdp({ clock });
  const keys = { from: "uri", uri: idp.jwksUri } as const;
  const trusts = trustMap(
    trust({ preset: "github", issuer: "https://token.actions.githubusercontent.com", keys, insecureHttp: true }),
    trust({ preset: "gitlab", issuer: "https://gitlab.com", keys, insecureHttp: true }),
    trust({ preset: "buildkite", issuer: "https://agent.buildkite.com", keys, insecureHttp: true }),
    trust({ preset: "circleci", issuer: "https://oidc.circleci.com/org/ORG1", keys, insecureHttp: true }),
    trust({ preset: "kubernetes", issuer: "https://oidc.cluster-a.test", keys, insecureHttp: true }),
    trust({ preset: "spiffe", issuer: "spiffe://prod.example.org", keys, insecureHttp: true }),
    trust({ preset: "generic", name: "agents", issuer: "https://agents.test", keys, insecureHttp: true }),
    trust({ preset: "generic", name: "terraform", issuer: "https://app.terraform.io", keys, insecureHttp: true }),
  );
  attestor = createAttestor({ trusts: () => trusts, clock });
});
afterAll(async () => {
  await idp[Symbol.asyncDispose]();
});

const present = (one: Case): Promise<string> =>
  idp.token({
    ...one.claims,
    iss: one.claims["iss"],
    ...(one.provider === "spiffe" && { iat: undefined, nbf: undefined, jti: undefined }),
  });

specsIf(cases.length > 0, `${FILE} is not here`).describe("the shared trust cases", () => {
  it("hold every row that is named here", () => {
    expect(Object.keys(REFUSED).filter((id) => !cases.some((one) => one.id === id))).toEqual([]);
  });

  it.each(cases.filter(({ id }) => REFUSED[id] !== undefined).map((one) => [one.id, one] as const))(
    "%s is refused for its evidence",
    async (id, one) => {
      expect(one.expected).toBe("deny");
      await expect(attestor.attest(await present(one))).rejects.toMatchObject({ code: REFUSED[id] });
    },
  );

  it.each(cases.filter(({ id }) => REFUSED[id] === undefined).map((one) => [one.id, one] as const))(
    "%s is good evidence, said as it was sent",
    async (_id, one) => {
      const principal = await attestor.attest(await present(one));
      expect(principal.claims).toMatchObject({
        ...one.claims,
        aud: one.provider === "kubernetes" || one.provider === "spiffe" ? [AUDIENCE] : AUDIENCE,
      });
    },
  );
});
