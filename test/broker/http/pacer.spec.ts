import { describe, expect, it } from "@jest/globals";
import { isPaced, isShed, Pacer } from "../../../broker/http/pacer.ts";

describe("refusals for want of room", () => {
  it("go out at once while there are few, and are held back one by one beyond that", () => {
    const pacer = new Pacer();
    const held = Array.from({ length: 400 }, () => pacer.hold()).filter((wait) => wait !== undefined);
    // a second may turn meanwhile, and then there are a hundred more
    expect(held.length).toBeGreaterThanOrEqual(200);
    expect(held.length).toBeLessThanOrEqual(300);
  });

  it("are paced together with limits, but counted apart from them", () => {
    const codes = ["overloaded", "too_many_requests", "limit_active", "limit_rate", "locked"];
    expect(codes.filter((code) => isPaced({ code }))).toEqual(["overloaded", "too_many_requests", "limit_active", "limit_rate"]);
    expect(codes.filter((code) => isShed({ code }))).toEqual(["overloaded", "too_many_requests"]);
  });
});
