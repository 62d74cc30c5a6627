import { describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import { once } from "node:events";
import { maskStream } from "../../../client/cli/exec/mask.ts";

async function masked(secrets: readonly string[], chunks: readonly (string | Buffer)[]): Promise<string> {
  const stream = maskStream(secrets);
  const parts: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => parts.push(chunk));
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await once(stream, "end");
  return Buffer.concat(parts).toString("utf8");
}

describe("masking what a command prints", () => {
  it("hides a secret that two chunks share", async () =>
    expect(await masked(["s3cret"], ["before s3c", "ret after"])).toBe("before ******** after"));
  it("hides a secret that comes byte by byte", async () => expect(await masked(["s3cret"], [..."xs3crety"])).toBe("x********y"));
  it("hides the longest where secrets overlap", async () =>
    expect(await masked(["abc", "abcdef"], ["1abcdef2abc3"])).toBe("1********2********3"));
  it("waits for the longer of two secrets that begin alike", async () =>
    expect(await masked(["ac", "acc"], ["a", "c", "c"])).toBe("********"));
  it("hides a short secret that might have become a longer one", async () =>
    expect(await masked(["ac", "acc"], ["xa", "c"])).toBe("x********"));
  it("lets the beginning of a secret through at the end, when it was none", async () =>
    expect(await masked(["s3cret"], ["ends in s3cre"])).toBe("ends in s3cre"));
  it("holds nothing back that cannot become a secret", async () => {
    const stream = maskStream(["s3cret"]);
    stream.write("Password: ");
    await new Promise((resolve) => setImmediate(resolve));
    expect(String(stream.read())).toBe("Password: ");
  });

  it("shows no secret whatever the chunks, and changes nothing else", async () => {
    const letters = fc.array(fc.constantFrom("a", "b", "c", "é"), { maxLength: 60 }).map((all) => all.join(""));
    const secrets = fc.array(
      fc.array(fc.constantFrom("a", "b", "c"), { minLength: 2, maxLength: 5 }).map((all) => all.join("")),
      { minLength: 1, maxLength: 3 },
    );
    await fc.assert(
      fc.asyncProperty(letters, secrets, fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }), async (text, hidden, sizes) => {
        const bytes = Buffer.from(text);
        const chunks: Buffer[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          chunks.push(bytes.subarray(at, at + size));
          at += size;
        }
        const whole = await masked(hidden, [bytes]);
        expect(await masked(hidden, chunks)).toBe(whole);
        for (const secret of hidden) expect(whole.replaceAll("********", "*")).not.toContain(secret);
      }),
      { numRuns: 200 },
    );
  });
});
