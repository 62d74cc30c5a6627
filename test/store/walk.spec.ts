import { describe, expect, it } from "@jest/globals";
import { cursorOf, readCursor } from "../../store/walk.ts";

const cursor = (text: string): string => Buffer.from(text).toString("base64url");

describe("a cursor", () => {
  it.each([
    { bucket: 0, at: "" },
    { bucket: 63, at: "0" },
    { bucket: 7, at: "1772452800000:100" },
    { bucket: 5, at: "18446744073709551615" },
  ])("of ours is read back: %j", (place) => {
    expect(readCursor(cursorOf(place))).toEqual(place);
  });

  it.each(["0.e", "0.1:-", "0.-inf", "0.nan", "0.1:2:3", "0.1e9", "0.(1", "x.1", "1", ""])(
    "that no list gave out is the caller's mistake, not the store's: %s",
    (text) => {
      expect(() => readCursor(cursor(text))).toThrow("the cursor is not one of ours");
    },
  );
});
