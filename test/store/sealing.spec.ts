import { randomBytes } from "node:crypto";
import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { StintError } from "../../domain/errors.ts";
import { Secret } from "../../domain/secret.ts";
import { reseal, type SealedRecords } from "../../store/reseal.ts";
import { createSealer, newMasterKey, parseMasterKeys } from "../../store/sealing.ts";

const OLD = randomBytes(32);
const NEW = randomBytes(32);
const refusal = (act: () => unknown): StintError => {
  try {
    act();
  } catch (error) {
    if (error instanceof StintError) return error;
    throw error;
  }
  throw new Error("it was not refused");
};

describe("a sealed value", () => {
  it("opens to what was sealed, whatever that was", () => {
    const sealer = createSealer([NEW]);
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string(), (plain, id) => {
        const sealed = sealer.seal("revocation-handle", id, new Secret(plain));
        expect(sealed).toMatch(/^v1\.[0-9a-f]{8}\.[A-Za-z0-9_-]{16}\.[A-Za-z0-9_-]{22,}$/);
        expect(sealer.open("revocation-handle", id, sealed).reveal()).toBe(plain);
      }),
    );
  });

  it("is another text each time", () => {
    const sealer = createSealer([NEW]);
    expect(sealer.seal("signing-key", "a", new Secret("x"))).not.toBe(sealer.seal("signing-key", "a", new Secret("x")));
  });

  it("does not open in the place of another record, nor for another purpose", () => {
    const sealer = createSealer([NEW]);
    const sealed = sealer.seal("revocation-handle", "lease_a", new Secret("drop role x"));
    for (const act of [() => sealer.open("revocation-handle", "lease_b", sealed), () => sealer.open("signing-key", "lease_a", sealed)]) {
      expect(refusal(act)).toMatchObject({
        code: "server_error",
        message: expect.stringContaining("it was altered, or it belongs to another record"),
      });
    }
  });

  it("does not open after any one character of it was changed", () => {
    const sealer = createSealer([NEW]);
    const sealed = sealer.seal("signing-key", "k", new Secret("private"));
    for (let at = 0; at < sealed.length; at += 1) {
      const changed = `${sealed.slice(0, at)}${sealed[at] === "B" ? "C" : "B"}${sealed.slice(at + 1)}`;
      let opened: string | undefined;
      try {
        opened = sealer.open("signing-key", "k", changed).reveal();
      } catch (error) {
        expect(error).toMatchObject({ code: "server_error" });
      }
      // the last character of base64url may have spare bits, which carry nothing
      if (opened !== undefined) expect(at).toBe(sealed.length - 1);
    }
  });

  it.each([
    "",
    "v1",
    "v1..",
    "v2.00000000.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA",
    "v1.zz",
    "\0",
    "v1.00000000.AAAAAAAAAAAAAAAA.A".padEnd(100_000, "A"),
  ])("that is garbage is refused in words, without its content (%#)", (garbage) => {
    const error = refusal(() => createSealer([NEW]).open("signing-key", "k", garbage));
    expect(error).toMatchObject({
      code: "server_error",
      message: "A sealed signing key could not be opened: it is not in the form that Stint writes.",
    });
  });

  it("under a master key that is gone names the key that is missing", () => {
    const sealed = createSealer([OLD]).seal("signing-key", "k", new Secret("private"));
    const error = refusal(() => createSealer([NEW]).open("signing-key", "k", sealed));
    expect(error.message).toBe(
      `A sealed signing key could not be opened: it was sealed under master key ${createSealer([OLD]).keyId}, which is not among those configured: add that key to the end of STINT_MASTER_KEY.`,
    );
  });
});

describe("rotating the master key", () => {
  it("seals under the first key and still opens what the others sealed", () => {
    const before = createSealer([OLD]);
    const both = createSealer([NEW, OLD]);
    const sealed = before.seal("revocation-handle", "lease_a", new Secret("x"));
    expect(both.open("revocation-handle", "lease_a", sealed).reveal()).toBe("x");
    expect(both.needsReseal(sealed)).toBe(true);
    expect(both.needsReseal(both.seal("revocation-handle", "lease_a", new Secret("x")))).toBe(false);
  });

  it("reseals every record once, leaves what changed meanwhile, and names what cannot be opened", async () => {
    const old = createSealer([OLD]);
    const values = new Map(["a", "b", "c", "d"].map((id) => [id, old.seal("revocation-handle", id, new Secret(id))]));
    values.set("d", "v1.00000000.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA");
    const records: SealedRecords = {
      purpose: "revocation-handle",
      page: async (cursor) => {
        const ids = [...values.keys()].slice(Number(cursor ?? 0), Number(cursor ?? 0) + 2);
        const next = Number(cursor ?? 0) + 2;
        return {
          items: ids.map((recordId) => ({ recordId, sealed: values.get(recordId) ?? "" })),
          nextCursor: next < values.size ? String(next) : undefined,
        };
      },
      replace: async (id, from, to) => {
        if (id === "b" || values.get(id) !== from) return "changed";
        values.set(id, to);
        return "replaced";
      },
    };
    const both = createSealer([NEW, OLD]);
    expect(await reseal(records, both)).toEqual({ seen: 4, resealed: 2, failed: ["d"] });
    expect(
      createSealer([NEW])
        .open("revocation-handle", "a", values.get("a") ?? "")
        .reveal(),
    ).toBe("a");
    expect(await reseal(records, both)).toEqual({ seen: 4, resealed: 0, failed: ["d"] });
  });
});

describe("STINT_MASTER_KEY", () => {
  it("is one key, or several with the sealing one first", () => {
    const text = `${NEW.toString("base64")}, ${OLD.toString("base64")}`;
    expect(parseMasterKeys(new Secret(text))).toEqual([NEW, OLD]);
    expect(parseMasterKeys(newMasterKey())).toHaveLength(1);
  });

  it.each([
    ["empty", "", "Master key 1 of 1 is not 32 bytes in base64"],
    ["too short", randomBytes(31).toString("base64"), "Master key 1 of 1 is not 32 bytes in base64"],
    ["in hex", randomBytes(32).toString("hex"), "Master key 1 of 1 is not 32 bytes in base64"],
    ["followed by nothing", `${NEW.toString("base64")},`, "Master key 2 of 2 is not 32 bytes in base64"],
    ["the same one twice", `${NEW.toString("base64")},${NEW.toString("base64")}`, "The same master key is listed twice"],
  ])("that is %s is refused without being repeated", (_, text, message) => {
    const error = refusal(() => parseMasterKeys(new Secret(text)));
    expect(error).toMatchObject({ code: "invalid_request", message: expect.stringContaining(message) });
    if (text !== "") expect(error.message).not.toContain(text.slice(0, 10));
  });

  it("must be there", () => {
    expect(refusal(() => createSealer([]))).toMatchObject({ code: "invalid_request" });
  });
});
