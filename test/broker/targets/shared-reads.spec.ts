import { describe, expect, it } from "@jest/globals";
import { SharedReads } from "../../../broker/targets/shared-reads.ts";

/** A thing whose reads end when the test says so, each with what stood there when it began. */
function thing() {
  const reads = new SharedReads<string, string>();
  const running: (() => void)[] = [];
  const state = { value: "first", begun: 0, fails: false };
  const read = (): Promise<string> =>
    reads.read("krl", () => {
      state.begun += 1;
      const { value, fails } = state;
      return new Promise((resolve, reject) => running.push(() => (fails ? reject(new Error("away")) : resolve(value))));
    });
  const end = async (): Promise<void> => {
    running.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { read, end, state };
}

describe("reads that are shared", () => {
  it("are one at a time, however many ask, and nobody gets what was read before they asked", async () => {
    const { read, end, state } = thing();
    const first = read();
    state.value = "second";
    const crowd = Array.from({ length: 1000 }, read);
    expect(state.begun).toBe(1);
    await end();
    expect(await first).toBe("first");
    state.value = "third";
    const late = read();
    await end();
    expect(new Set(await Promise.all(crowd))).toEqual(new Set(["second"]));
    await end();
    expect([await late, state.begun]).toEqual(["third", 3]);
  });

  it("fail for those who shared the one that failed, and nobody else", async () => {
    const { read, end, state } = thing();
    state.fails = true;
    const [bad, next] = [read(), read()];
    const refused = expect(bad).rejects.toThrow("away");
    state.fails = false;
    await end();
    await refused;
    await end();
    expect(await next).toBe("first");
    const after = read();
    await end();
    expect(await after).toBe("first");
  });
});
