import { createPrivateKey, createPublicKey } from "node:crypto";
import { describe, expect, it } from "@jest/globals";
import { checkpointText, originOf, parseCheckpoint } from "../../../broker/audit/checkpoint.ts";
import { noteVerifier, openNote, parseVerifier, signNote, verifierText } from "../../../broker/audit/signed-note.ts";
import { checkpointKeyPair } from "../../support/audit-files.ts";

// An Ed25519 key of 32 bytes 0x01, wrapped as PKCS #8 (RFC 8410), and what C2SP's own implementation makes of it.
const PRIVATE = createPrivateKey({
  key: Buffer.from(`302e020100300506032b657004220420${"01".repeat(32)}`, "hex"),
  format: "der",
  type: "pkcs8",
});
const VERIFIER = "broker.example/audit+fe45b998+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";
const TEXT = "broker.example/audit\n3\nPbZ2Ze6owm3jQWaMHTGZ9h3kt4CoKFaaiYzkjCjZMfM=\n";
const NOTE = `${TEXT}\n\u2014 broker.example/audit /kW5mMt88CUap8O/fpBXPy6NjX+xC0EQW9O0HYMn+WcKcBaY3K+fs8bT/CqSJv5GflaqgiG6r5xqKohgx/d+EPmzfwY=\n`;
const known = noteVerifier("broker.example/audit", createPublicKey(PRIVATE));

describe("a signed note", () => {
  it("is the one that the C2SP vector gives", () => {
    expect(verifierText(known)).toBe(VERIFIER);
    expect(signNote(TEXT, known, PRIVATE)).toBe(NOTE);
  });

  it("opens with the verifier it was made for, which can be kept as a line of text", () => {
    const verifier = parseVerifier(VERIFIER);
    expect(verifier && openNote(NOTE, [verifier])).toMatchObject({ outcome: "good", text: TEXT });
  });

  it.each([
    ["another text", NOTE.replace("\n3\n", "\n4\n"), "wrong"],
    ["no signature that we know", NOTE, "unknown"],
    ["no empty line", TEXT, "malformed"],
    ["no newline at the end", NOTE.slice(0, -1), "malformed"],
    ["a signature line that is none", `${TEXT}\n- x y\n`, "malformed"],
    ["nothing", "", "malformed"],
  ] as const)("with %s is not believed", (name, note, outcome) => {
    const verifiers = name === "no signature that we know" ? [checkpointKeyPair().verifier] : [known];
    expect(openNote(note, verifiers).outcome).toBe(outcome);
  });

  it("may bear signatures of others beside ours", () => {
    const other = checkpointKeyPair();
    const both = NOTE + signNote(TEXT, other.verifier, other.privateKey).slice(TEXT.length + 1);
    expect(openNote(both, [known])).toMatchObject({ outcome: "good" });
    expect(openNote(both, [known, other.verifier])).toMatchObject({ outcome: "good" });
    expect(openNote(both, [checkpointKeyPair().verifier])).toMatchObject({ outcome: "unknown" });
  });

  it.each(["", "x", VERIFIER.replace("fe45", "fe46"), `${VERIFIER}x`])("needs a verifier that fits itself (%#)", (text) => {
    expect(parseVerifier(text)).toBeUndefined();
  });
});

describe("a checkpoint", () => {
  const checkpoint = {
    origin: "stint.acme.dev/audit",
    size: 12,
    head: "ab".repeat(32),
    at: "2026-03-02T12:00:00.000Z",
    store: "s-1",
    sequences: Array.from({ length: 64 }, (_, bucket) => bucket),
  };

  it("is read back as it was written", () => {
    expect(parseCheckpoint(checkpointText(checkpoint))).toEqual(checkpoint);
  });

  it.each([
    ["a size with a leading zero", (text: string) => text.replace("\n12\n", "\n012\n")],
    ["a bucket too few", (text: string) => text.replace(" 63\n", "\n")],
    ["a line more", (text: string) => `${text}x\n`],
    ["nothing", () => ""],
  ])("with %s is none", (_, change) => {
    expect(parseCheckpoint(change(checkpointText(checkpoint)))).toBeUndefined();
  });

  it("is named after the broker's host", () => {
    expect(originOf("https://stint.acme.dev")).toBe("stint.acme.dev/audit");
    expect(originOf("http://127.0.0.1:8420")).toBe("127.0.0.1:8420/audit");
  });
});
