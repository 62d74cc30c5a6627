import { describe, expect, it } from "@jest/globals";
import { measureCertificates } from "../../../scripts/bench/certificates.ts";

describe("the benchmark of certificates", () => {
  it("measures certificates that verify, beside the cryptography they cannot do without", async () => {
    const rows = await measureCertificates({ rounds: 1, count: 20, say: () => undefined });
    expect(rows.map(({ unit }) => unit)).toEqual(["ratio", "ratio", "per second", "per second", "us"]);
    for (const { figure } of rows) expect(figure.median).toBeGreaterThan(0);
  });
});
