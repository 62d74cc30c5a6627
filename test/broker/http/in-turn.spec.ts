import { describe, expect, it } from "@jest/globals";
import { once } from "node:events";
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { readBody } from "../../../broker/http/body.ts";
import { inTurn } from "../../../broker/http/in-turn.ts";

describe("those who arrive together", () => {
  it("go on once all of them have come, in their order", async () => {
    const seen: string[] = [];
    for (const name of ["a", "b", "c"]) {
      inTurn(() => seen.push(name));
      seen.push(`${name} came`);
    }
    await turn();
    expect(seen).toEqual(["a came", "b came", "c came", "a", "b", "c"]);
  });

  it("take their steps side by side", async () => {
    const seen: string[] = [];
    const walk = (name: string): Promise<void> =>
      new Promise<void>((resolve) => inTurn(resolve)).then(() => void seen.push(`${name}1`)).then(() => void seen.push(`${name}2`));
    await Promise.all([walk("a"), walk("b")]);
    expect(seen).toEqual(["a1", "b1", "a2", "b2"]);
  });

  it("are let go 32 at a time, so that a crowd keeps nobody else waiting", async () => {
    const seen: number[] = [];
    const perTurn: number[] = [];
    for (let index = 0; index < 70; index += 1) inTurn(() => seen.push(index));
    while (seen.length < 70) {
      await turn();
      perTurn.push(seen.length);
    }
    expect(perTurn).toEqual([32, 64, 70]);
    expect(seen).toEqual(Array.from({ length: 70 }, (_, index) => index));
  });

  it("may wait again for the next ones", async () => {
    const seen: string[] = [];
    inTurn(() => inTurn(() => seen.push("second")));
    await turn();
    expect(seen).toEqual([]);
    await turn();
    expect(seen).toEqual(["second"]);
  });

  it("are requests whose bodies are complete", async () => {
    const request = new IncomingMessage(new Socket());
    request.headers["content-length"] = "2";
    let text: string | undefined;
    const read = readBody(request).then((body) => (text = body.toString()));
    request.push("{}");
    request.push(null);
    await once(request, "end");
    for (let step = 0; step < 20; step += 1) await Promise.resolve();
    expect(text).toBeUndefined();
    await turn();
    await read;
    expect(text).toBe("{}");
  });
});
