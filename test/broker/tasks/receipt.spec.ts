import { describe, expect, it } from "@jest/globals";
import { RECEIPT_LEASES, receiptLease, receiptOf } from "../../../broker/tasks/receipt.ts";
import type { LeaseEnding } from "../../../store/api.ts";

const NOW = 1_000_000;
const ending = (change: Partial<LeaseEnding> = {}): LeaseEnding => ({
  leaseId: "lease_01jzzzzzzz0000000000000000",
  issuer: "jwt",
  outcome: "revoked",
  revocation: "expiry_only",
  endedAt: NOW - 10,
  expiresAt: NOW + 5_000,
  tookMs: 0,
  reason: undefined,
  ...change,
});
const ended = { endedBy: "complete" } as const;

describe("one lease of a receipt", () => {
  it.each([
    ["that only expires is dead by its expiry, and not called revoked before", {}, "dead_by", NOW + 5_000],
    ["that only expires is revoked once it has expired", { expiresAt: NOW - 1 }, "revoked", NOW - 1],
    ["that verifiers check is dead since the last of them knew", { revocation: "verifier_checked", deadBy: NOW - 4 }, "revoked", NOW - 4],
    [
      "that a verifier may not know of yet is not called revoked",
      { revocation: "verifier_checked", deadBy: NOW + 400 },
      "dead_by",
      NOW + 400,
    ],
    ["that verifiers check, and nobody asked them, dies by its expiry", { revocation: "verifier_checked" }, "dead_by", NOW + 5_000],
    [
      "that verifiers check is dead by its expiry at the latest",
      { revocation: "verifier_checked", deadBy: NOW + 9_000 },
      "dead_by",
      NOW + 5_000,
    ],
    ["at a target is dead since the target said so", { revocation: "immediate", tookMs: 7 }, "revoked", NOW - 3],
    ["that was already gone is dead", { revocation: "immediate", outcome: "already_gone" }, "already_gone", NOW - 10],
    ["that waits for its target has no time of death", { revocation: "immediate", outcome: "revoking" }, "revoking", undefined],
    ["that is stuck has none either", { revocation: "immediate", outcome: "stuck" }, "stuck", undefined],
    ["that was closed by force is dead by its expiry at the latest", { revocation: "immediate", outcome: "forced" }, "forced", NOW + 5_000],
  ] as const)("%s", (_name, change, outcome, deadBy) => {
    expect(receiptLease(ending(change), NOW)).toMatchObject({ outcome, ...(deadBy === undefined ? {} : { deadBy }) });
    expect(receiptLease(ending(change), NOW).deadBy).toBe(deadBy);
  });
});

describe("a receipt", () => {
  it("is dead by the latest of its leases", () => {
    expect(receiptOf(ended, [ending(), ending({ expiresAt: NOW + 9_000 })], NOW)).toMatchObject({ settled: true, deadBy: NOW + 9_000 });
  });

  it("says no time while one lease has none", () => {
    expect(receiptOf(ended, [ending(), ending({ outcome: "revoking", revocation: "immediate" })], NOW)).toMatchObject({
      settled: false,
      deadBy: undefined,
    });
  });

  it("of nothing is settled", () => {
    expect(receiptOf(ended, [], NOW)).toEqual({
      task: undefined,
      revocation: undefined,
      endedBy: "complete",
      settled: true,
      leases: [],
      deadBy: undefined,
      more: 0,
    });
  });

  it("lists a thousand leases and counts the rest", () => {
    const receipt = receiptOf(
      ended,
      Array.from({ length: RECEIPT_LEASES + 5 }, () => ending()),
      NOW,
      { more: 2, settled: true },
    );
    expect(receipt.leases).toHaveLength(RECEIPT_LEASES);
    expect(receipt.more).toBe(7);
  });
});
