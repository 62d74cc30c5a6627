import { describe, expect, it, jest } from "@jest/globals";
import { isPaced, isShed, Pacer } from "../../../broker/http/pacer.ts";

describe("refusals for want of room", () => {
  it("go out at once while there are few, and are held back one by one beyond that", () => {
    const time = jest.spyOn(performance, "now").mockReturnValue(1_000);
    const pacer = new Pacer();
    const heldOf = (count: number): number => Array.from({ length: count }, () => pacer.hold()).filter((wait) => wait !== undefined).length;
    try {
      expect(heldOf(400)).toBe(390);
      time.mockReturnValue(1_050); // a hundred a second
      expect(heldOf(10)).toBe(5);
      time.mockReturnValue(9_000); // what nobody used is not saved up
      expect(heldOf(100)).toBe(90);
    } finally {
      time.mockRestore();
    }
  });

  it("are let go one after the other, within a second and a half", async () => {
    jest.useFakeTimers();
    try {
      const pacer = new Pacer();
      let gone = 0;
      for (let count = 0; count < 210; count += 1) void pacer.hold()?.then(() => (gone += 1));
      let most = 0;
      for (let at = 0, before = 0; at < 1_600; at += 50, before = gone) {
        await jest.advanceTimersByTimeAsync(50);
        most = Math.max(most, gone - before);
      }
      expect(gone).toBe(200);
      expect(most).toBeLessThanOrEqual(15);
    } finally {
      jest.useRealTimers();
    }
  });

  it("are paced together with limits, but counted apart from them", () => {
    const codes = ["overloaded", "too_many_requests", "limit_active", "limit_rate", "locked"];
    expect(codes.filter((code) => isPaced({ code }))).toEqual(["overloaded", "too_many_requests", "limit_active", "limit_rate"]);
    expect(codes.filter((code) => isShed({ code }))).toEqual(["overloaded", "too_many_requests"]);
  });
});
