import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { PermanentFailure } from "../../domain/credential.ts";
import { readToken } from "../../issuers/github-app/token.ts";
import { readAnswer } from "../../issuers/http/call.ts";
import { CreateAnswer, Listing, RenewAnswer } from "../../issuers/http/wire.ts";

const NOW = 1_772_452_800_000;
const ASKED = { repositories: ["shop"], permissions: { contents: "read" } } as const;

/** Something near a good answer: every member may be missing, or anything. */
const near = (good: Readonly<Record<string, unknown>>): fc.Arbitrary<unknown> =>
  fc.oneof(
    fc.jsonValue(),
    fc.record(
      Object.fromEntries(
        Object.entries(good).map(([name, value]) => [name, fc.oneof({ weight: 3, arbitrary: fc.constant(value) }, fc.jsonValue())]),
      ),
      { requiredKeys: [] },
    ),
  );

describe("whatever a maker answers", () => {
  const good = {
    lease_id: "lease_01jn5k3ahe8q4r0v2w6x8y1z3a",
    credential: { secret: { name: "password", value: "x" } },
    handle: "h",
    expires_at: "2026-03-02T12:00:00Z",
  };
  it("is taken as the contract says, or refused with a class of its own and without its words", () => {
    fc.assert(
      fc.property(near(good), fc.constantFrom(CreateAnswer, RenewAnswer, Listing), (value, schema) => {
        const answer = { status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify(value) };
        try {
          expect(readAnswer<unknown>(schema, answer)).toEqual(JSON.parse(answer.body));
        } catch (error) {
          if (!(error instanceof PermanentFailure)) throw error;
          expect(error.message).toMatch(/^the maker's answer is [\x20-\x7e]{1,120}$/);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("whatever GitHub answers", () => {
  const good = {
    token: "ghs_0123456789",
    expires_at: "2026-03-02T13:00:00Z",
    permissions: { contents: "read", metadata: "read" },
    repository_selection: "selected",
    repositories: [{ id: 1, name: "shop", full_name: "acme/shop" }],
  };
  it("is a token within what was asked, or one that is to be ended", () => {
    const wide = fc.constantFrom({ contents: "write" }, { issues: "read" }, { constructor: "read" }, { contents: "read" });
    fc.assert(
      fc.property(
        fc.oneof(
          near(good),
          near({ ...good, permissions: { metadata: "admin" } }),
          wide.map((permissions) => ({ ...good, permissions })),
        ),
        (value) => {
          const read = readToken(value, ASKED, NOW);
          if ("wrong" in read) {
            expect(read.wrong).toMatch(/^(?:with|for|in) /);
            return;
          }
          expect(read.token).toMatch(/^[\x21-\x7e]{8,4096}$/);
          expect(read.expiresAt).toBeLessThanOrEqual(NOW + 3_900_000);
          for (const [name, level] of Object.entries(read.permissions)) expect(`${name}:${level}`).toMatch(/^(?:contents|metadata):read$/);
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
