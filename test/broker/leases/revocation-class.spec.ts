import { describe, expect, it } from "@jest/globals";
import { revocationClassOf } from "../../../broker/leases/revocation-class.ts";
import type { Policy, Verifier } from "../../../broker/policy/policy.ts";

const signed = { computesOnly: true, revocation: "expiry_only" } as const;
const verifier = (name: string, audience: string, checks: Verifier["checks"]): readonly [string, Verifier] => [
  name,
  { name, audience, keyHashes: [], checks },
];
const policy = (...checks: readonly Verifier["checks"][]): Policy => ({
  version: "test",
  trusts: new Map(),
  targets: new Map(),
  grants: new Map(),
  problems: [],
  settings: { lint: "error", implicitTaskTtlMs: 1, retentionMs: 1 },
  verifiers: new Map([
    ...checks.map((one, index) => verifier(`v${index}`, "https://a.test", one)),
    verifier("other", "https://b.test", "introspection"),
  ]),
});

describe("how a credential dies", () => {
  it.each([
    ["by its verifiers, when each of them asks us", ["introspection", "introspection"], "verifier_checked"],
    ["only by its expiry, when one of them does not", ["introspection", "none"], "expiry_only"],
    ["by its verifiers, when each of them reads the feed", ["feed"], "verifier_checked"],
    ["by its verifiers, when some read the feed and the others ask us", ["feed", "introspection"], "verifier_checked"],
    ["only by its expiry, when one of them waits for a status list", ["feed", "status_list"], "expiry_only"],
    ["only by its expiry, when no verifier of the audience is known", [], "expiry_only"],
  ] as const)("%s", (_name, checks, revocation) => {
    expect(revocationClassOf(signed, "https://a.test", policy(...checks))).toBe(revocation);
  });

  it("as its issuer says, when it is ended at the target", () => {
    expect(revocationClassOf({ computesOnly: false, revocation: "immediate" }, "https://a.test", policy("none"))).toBe("immediate");
  });
});
