import { describe, expect, it } from "@jest/globals";
import { z } from "zod";
import { readOptions } from "../../../broker/leases/options.ts";

const options = z.strictObject({ user: z.string().optional() });
const issuer = {
  kind: "login",
  options,
  refuses: (params: unknown, asked: Readonly<Record<string, unknown>>) =>
    asked["user"] === "root" && params === "no root" ? "`user` may not be root under this grant" : undefined,
};
const refusal = (run: () => unknown): unknown => {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe("what is asked beside the grant", () => {
  it("is what the issuer's schema made of it", () => {
    expect(readOptions(issuer, "no root", { user: "deploy" })).toEqual({ user: "deploy" });
    expect(readOptions(issuer, "no root", undefined)).toEqual({});
    expect(readOptions({ kind: "jwt" }, {}, {})).toEqual({});
  });

  it("is refused with its path when the schema does not know it", () => {
    expect(refusal(() => readOptions(issuer, "no root", { user: 7 }))).toMatchObject({
      code: "invalid_request",
      facts: { errors: [{ path: "options.user" }] },
    });
    expect(refusal(() => readOptions(issuer, "no root", { usr: "x" }))).toMatchObject({
      message: 'options: there is no option "usr"; a credential of kind login takes user',
    });
    expect(refusal(() => readOptions({ kind: "jwt" }, {}, { user: "x" }))).toMatchObject({
      code: "invalid_request",
      message: "options: a jwt credential takes none",
    });
  });

  it("is refused in the issuer's words when the grant does not go so far", () => {
    expect(readOptions(issuer, "any", { user: "root" })).toEqual({ user: "root" });
    expect(refusal(() => readOptions(issuer, "no root", { user: "root" }))).toMatchObject({
      code: "invalid_request",
      message: "options: `user` may not be root under this grant",
    });
  });
});
